"""One Item -> FHIR R4 resources in JP Core's shape, under ids that follow from sender and key. Pure.

What becomes what stands in README.md. Order: references point backward.
"""

from __future__ import annotations

from integrations.incoming import Resource
from integrations.items import About, Item, Mapped
from integrations.municipal_csv import catalogue, observing, vaccinating
from integrations.municipal_csv.catalogue import JP
from integrations.municipal_csv.making import Maker
from integrations.municipal_csv.wording import say
from integrations.problems import Problem
from phr.records import systems

AMBULATORY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "外来"}
# Forms that are a visit; the others tell what was found, not when somebody came
VISITS = {"prenatal": "妊婦健診", "postpartum": "産婦健診"}


def resources(item: Item, *, about: About) -> Mapped:
    """What an Item becomes. A date in the future makes it nothing."""
    if item.content["form"] == "nothing":
        return Mapped()
    on = item.content["on"]
    if on > about.today.isoformat()[: len(on)]:
        return Mapped(problems=(say("future", line=item.line),))
    make, problems = Maker(item, about), list[Problem]()
    if "vaccine" in item.content:
        made = [vaccinating.immunization(make), *observing.free(make, None)]
        return Mapped(made, tuple(problems))
    encounter = _encounter(make)
    made = [encounter] if encounter else []
    made += observing.observations(make, encounter, problems)
    made += observing.free(make, encounter)
    return Mapped(made, tuple(problems))


def _encounter(make: Maker) -> Resource | None:
    content = make.content
    if content["form"] == "infant-checkup":
        kind, name = content["stage"], catalogue.stages()[content["stage"]].name
    elif content["form"] in VISITS:
        kind, name = content["form"], VISITS[content["form"]]
    else:
        return None
    resource: Resource = {
        "resourceType": "Encounter",
        "id": make.id("Encounter", "visit"),
        "meta": {"profile": [JP + "JP_Encounter"]},
        "status": "finished",
        "class": AMBULATORY,
        "type": [{"coding": [{"system": systems.OWN_VISIT, "code": kind, "display": name}], "text": name}],
        "subject": make.patient,
        "period": {"start": content["on"], "end": content["on"]},
        "serviceProvider": make.facility() or make.sender,
    }
    if doctor := make.doctor():
        resource["participant"] = [{"individual": doctor}]
    return resource
