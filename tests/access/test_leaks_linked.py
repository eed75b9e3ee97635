"""The leak matrix for what goes from resource to resource: chains, includes, sort keys, text, compartments, histories.

The visible resources name one that is hidden, and it names them: each question is asked in a store where the
hidden one is, and in one where nothing bears that id. Everything a client sees must be the same.
Sources: trust rules, section 5 (leak matrix) and E-10 (nonexistent = forbidden).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

import pytest
from django.utils import timezone

from consent.models import Person
from phr.populate.cast import HANA, YUKI
from phr.populate.store import for_person
from phr.records.gateway import Records
from tests.access.test_leaks import SYSTEM, told
from tests.family import KAI, LOINC, App, Neighbourhood, pressure, secret, weight

LINKED = "5e5e5e5e-0000-4000-8000-000000000001"
UNIT = "http://unitsofmeasure.org|mm[Hg]"
YUKIS = {"reference": f"Patient/{YUKI}"}


def refer(kind: str, id: str) -> dict[str, str]:
    return {"reference": f"{kind}/{id}"}


def hidden(base: dict[str, Any], places: dict[str, str]) -> dict[str, Any]:
    """What the hidden resource says: everything that a question could find it by."""
    return base | {
        "id": LINKED, "identifier": [{"system": SYSTEM, "value": "1"}], "effectiveDateTime": "2026-03-02",
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">ひみつの話</div>'},
        "code": {"coding": [{"system": LOINC, "code": "8480-6"}], "text": "ひみつの検査"},
        "note": [{"text": "ひみつの記録"}], "encounter": refer("Encounter", places["visit"]),
        "derivedFrom": [refer("Observation", places["plain"])],
        "component": [{"code": {"coding": [{"system": LOINC, "code": "8462-4"}]},
                       "valueQuantity": {"value": 222, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}],
    }  # fmt: skip


@pytest.fixture
def places(family: Neighbourhood) -> dict[str, str]:
    return settle(family.mother)


def settle(mother: App) -> dict[str, str]:
    """A visit, an observation that names the hidden one, one that does not, and a List of both."""
    ambulatory = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    visit = mother.made({"resourceType": "Encounter", "status": "finished", "class": ambulatory, "subject": YUKIS})[
        "id"
    ]
    plain = mother.made(pressure(effectiveDateTime="2026-03-01", encounter=refer("Encounter", visit)))["id"]
    naming = mother.made(
        pressure(
            effectiveDateTime="2026-03-03", hasMember=[refer("Observation", LINKED)],
            derivedFrom=[refer("Observation", LINKED), refer("Observation", plain)],
        )
    )["id"]  # fmt: skip
    listed = mother.made(
        {
            "resourceType": "List", "status": "current", "mode": "working", "subject": YUKIS,
            "entry": [{"item": refer("Observation", LINKED)}, {"item": refer("Observation", plain)}],
        }
    )["id"]  # fmt: skip
    return {"visit": visit, "plain": plain, "naming": naming, "list": listed, "linked": LINKED, "yuki": str(YUKI),
            "kai": str(KAI), "system": SYSTEM}  # fmt: skip


# Path and criteria; {…} are the places. What makes no difference when the resource is shown stands under BLIND.
QUESTIONS = (
    # histories
    "Observation/_history", "_history", "Observation/_history?_count=2", "Observation/_history?_since=2026-01-01",
    "Observation/_history?_at=2026", "_history?_count=3", "Observation/{linked}/_history",
    # chains: from the visible to the hidden
    "Observation?has-member:Observation.identifier={system}|1", "Observation?has-member.identifier={system}|1",
    "Observation?has-member:Observation.date=2026-03-02", "Observation?has-member:Observation.code=8480-6",
    "Observation?has-member:Observation._id={linked}", "Observation?has-member:Observation.code:not=nothing",
    "Observation?has-member:Observation.component-code=8462-4&_total=accurate",
    "Observation?has-member:Observation.component-value-quantity=gt200|{unit}",
    "Observation?has-member:Observation.date:missing=false", "Observation?has-member:Observation.encounter={visit}",
    "Observation?has-member:Observation.encounter:Encounter.status=finished",
    "Observation?has-member:Observation.patient={yuki}", "Observation?has-member:Observation._lastUpdated=gt2020",
    "Observation?derived-from:Observation.identifier={system}|1&_summary=count",
    # _has: from the hidden to the visible
    "Encounter?_has:Observation:encounter:identifier={system}|1",
    "Encounter?_has:Observation:encounter:date=2026-03-02",
    "Encounter?_has:Observation:encounter:_id={linked}", "Encounter?_has:Observation:encounter:component-code=8462-4",
    "Encounter?_has:Observation:encounter:component-value-quantity=222&_total=accurate",
    "Patient?_has:Observation:patient:identifier={system}|1", "Patient?_has:Observation:subject:component-code=8462-4",
    "Observation?_has:Observation:derived-from:identifier={system}|1",
    "Encounter?_has:Observation:encounter:_has:Observation:has-member:_id={naming}",
    "Encounter?_has:Observation:encounter:derived-from={plain}", "List?item:Observation.identifier={system}|1",
    "Encounter?_has:Observation:encounter:derived-from:Observation.date=2026-03-01",
    # binary search by a threshold
    *(f"Patient?_has:Observation:patient:component-value-quantity=gt{n}&_summary=count" for n in (128, 192, 221)),
    *(f"Observation?component-value-quantity=ge{n}&_total=accurate&_count=1" for n in (128, 222)),
    "Observation?component-code-value-quantity=8462-4$gt200",
    # order
    "Observation?_sort=date&_count=2", "Observation?_sort=-date&_total=accurate",
    "Observation?_sort=has-member:Observation.date", "Observation?_sort=-has-member:Observation.date",
    "Observation?_sort=derived-from:Observation._lastUpdated",
    "Observation?_sort=encounter:Encounter._lastUpdated,-_id",
    # expressions and lists
    'Observation?_filter=identifier eq "{system}|1"', "Observation?_filter=date eq 2026-03-02 or date eq 2026-03-03",
    'Observation?_filter=has-member.identifier eq "{system}|1"', "Observation?_filter=not (code eq nothing)",
    "Observation?_list={list}", "Observation?_list={list}&_total=accurate&_sort=date",
    # text that only opened bodies hold
    "Observation?patient={yuki}&_text=ひみつ", "Observation?patient={yuki}&_content=ひみつ&_total=accurate",
    "Observation?patient={yuki}&code:text=ひみつ", "Observation?patient={yuki}&_content=mmHg&_count=1",
    "Observation?patient={yuki}&_content=8462&_summary=count",
    # what stands beside
    "Observation?_id={naming}&_include=Observation:has-member", "Observation?_id={naming}&_include=*",
    "Observation?_id={naming}&_include=Observation:derived-from:Observation",
    "Observation?_id={naming}&_include:iterate=Observation:has-member&_include:iterate=Observation:encounter",
    "Observation?_id={plain}&_revinclude=Observation:derived-from", "Encounter?_id={visit}&_revinclude=*",
    "Encounter?_id={visit}&_revinclude=Observation:encounter&_total=accurate",
    "Encounter?_id={visit}&_revinclude:iterate=Observation:encounter&_revinclude:iterate=Observation:has-member",
    "Patient?_id={yuki}&_revinclude=Observation:patient", "List?_include=List:item",
    # compartments, several types, everything
    "Patient/{yuki}/Observation", "Patient/{yuki}/Observation?identifier={system}|1&_total=accurate",
    "Patient/{yuki}/*", "Patient/{yuki}/*?_type=Observation,Encounter&_summary=count", "Encounter/{visit}/Observation",
    "Encounter/{visit}/*", "?_type=Observation,Encounter", "?_type=Observation,Encounter&_total=accurate&_count=1",
    "?_lastUpdated=gt2020&_type=Observation,List", "?_id={linked}&_type=Observation,Condition", "?_id={linked}",
    "?_type=Observation,DiagnosticReport&identifier={system}|1",
)  # fmt: skip
# Asked all the same: what they answer does not depend on it.
BLIND = (
    "Patient?_has:Observation:patient:component-value-quantity=gt222&_summary=count", "Observation?_sort=code",
    "Observation?component-value-quantity=ge223&_total=accurate&_count=1", "Observation?code-value-concept=8480-6$x",
    "Observation/_history?_at=2020-03-01",
    "Patient/{kai}/Observation", "Patient/{kai}/*", "Patient/{linked}/Observation", "Observation/_history?_since=2099",
    "Observation?value-quantity=118&code-value-quantity=8480-6$118", "Encounter/{linked}/Observation",
    "Observation?patient={kai}&_content=ひみつ", "Observation?_content=ひみつ", "Observation?_security=R",
    "Observation?has-member:Observation._security=R", "Observation?_list={linked}", "Patient?_security=R",
    "Encounter?_has:Observation:encounter:_security=R", "Observation?has-member={linked}&_total=accurate",
    "Observation?_filter=_security eq R", "Observation?_sort=has-member:Observation._security",
)  # fmt: skip


def ask(app: App, question: str, places: dict[str, str]) -> Any:
    path, _, criteria = question.partition("?")
    pairs = [(k.format(**places, unit=UNIT), v.format(**places, unit=UNIT)) for k, v in parse_qsl(criteria)]
    spelled = path.format(**places) + (f"?{urlencode(pairs, quote_via=quote)}" if pairs else "")
    answer = app.ask("GET", spelled if path else f"/fhir?{urlencode(pairs, quote_via=quote)}")
    assert answer.status < 500, (question, answer)
    return told(answer, fixed=set(places.values()) | {str(HANA)})


def answers(app: App, places: dict[str, str]) -> dict[str, Any]:
    return {question: ask(app, question, places) for question in (*QUESTIONS, *BLIND)}


def keep(family: Neighbourhood, person: str, subject: UUID, resource: dict[str, Any]) -> None:
    """Store a resource under the id that the visible ones name."""
    writer = Person.objects.get(username=person)
    Records.opened_by(for_person(writer, subject), now=timezone.now()).create_all([resource], keep_ids=True)


Hide = Callable[[Neighbourhood, dict[str, str]], None]


def restricted(family: Neighbourhood, places: dict[str, str]) -> None:
    keep(family, "yuki", YUKI, hidden(secret(), places))


def a_strangers(family: Neighbourhood, places: dict[str, str]) -> None:
    keep(family, "otsu", KAI, hidden(pressure(KAI), places))


def deleted(family: Neighbourhood, places: dict[str, str]) -> None:
    restricted(family, places)
    assert family.mother.delete(f"Observation/{LINKED}").status == 204


def of_another_kind(family: Neighbourhood, places: dict[str, str]) -> None:
    """A weight: of a category that Yuki did not open to the clinic."""
    resource = hidden(weight(), places)
    keep(family, "yuki", YUKI, resource | {"code": {"coding": [{"system": "urn:nobody", "code": "?"}]}})


SCENES: dict[str, tuple[str, Hide]] = {
    "a restricted one, for the clinic": ("clinic", restricted),
    "one that was deleted out of sight, for the clinic": ("clinic", deleted),
    "one of a kind that is not opened, for the clinic": ("clinic", of_another_kind),
    "a stranger's, for the mother": ("mother", a_strangers),
    "a stranger's, for the clinic": ("clinic", a_strangers),
}


@pytest.mark.parametrize("scene", SCENES)
def test_every_answer_is_as_if_it_were_not_there(family: Neighbourhood, places: dict[str, str], scene: str) -> None:
    persona, hide = SCENES[scene]
    app = getattr(family, persona)
    without = answers(app, places)
    hide(family, places)
    with_it = answers(app, places)
    assert [question for question in without if with_it[question] != without[question]] == []


def test_every_question_can_tell(family: Neighbourhood, places: dict[str, str]) -> None:
    """The matrix would notice: shown to the mother, the same resource changes every answer that it can change."""
    without = answers(family.mother, places)
    restricted(family, places)
    with_it = answers(family.mother, places)
    unmoved = [question for question in QUESTIONS if with_it[question] == without[question]]
    assert not unmoved, "\n".join(unmoved)


def test_every_question_is_understood(family: Neighbourhood, places: dict[str, str]) -> None:
    wrong = {q: a[:2] for q, a in answers(family.mother, places).items() if q in QUESTIONS and a[0] not in (200, 404)}
    assert not wrong, "\n".join(map(str, wrong.items()))
