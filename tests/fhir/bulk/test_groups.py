"""Groups of any size: the list of the organisation that keeps it, and of nobody else."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from phr.populate.cast import HANA, ICHIRO, REN, YUKI
from tests.family import KAI, OTSU, Neighbourhood, post, pressure
from tests.fhir.bulk.exports import exported, kick_off, parameters

EVERYBODY = (YUKI, ICHIRO, HANA, REN, OTSU, KAI)
IG = "Bulk Data Access IG 3.0"


def group(*members: object, **more: Any) -> dict[str, Any]:
    listed = [{"entity": {"reference": f"Patient/{member}"}} for member in members]
    held = {"member": listed} if listed else {}
    return {"resourceType": "Group", "type": "person", "actual": True, **held, **more}


def test_an_organisation_keeps_a_list_of_many(family: Neighbourhood) -> None:
    made = family.clinic.made(group(*EVERYBODY))
    place = f"Group/{made['id']}"
    assert family.clinic.get(place).json["member"] == made["member"]
    assert family.app("obstetrician").get(place).status == 200, "her staff too"
    longer = {**made, "member": [*made["member"], {"entity": {"reference": f"Patient/{uuid4()}"}}]}
    assert family.clinic.put(longer).status == 200
    assert family.clinic.search("Group", member=f"Patient/{KAI}").ids == [made["id"]]
    assert family.clinic.delete(place).status == 204


def test_nobody_else_sees_who_stands_on_it(family: Neighbourhood) -> None:
    made = family.clinic.made(group(*EVERYBODY, code={"text": "high risk"}))
    absent = f"Group/{uuid4()}"
    others = (
        family.mother,
        family.father,
        family.aunt,
        family.stranger,
        family.officer,
        family.of_clinic("9919000003"),
    )
    for app in others:
        assert app.get(f"Group/{made['id']}").told() == app.get(absent).told()
        assert app.search("Group").ids == []
        assert app.search("Group", member=f"Patient/{YUKI}").ids == []
        assert app.search("Patient", ("_has:Group:member:_id", made["id"])).ids == []
        assert app.put(made).told()[0] in (403, 405)
        assert kick_off(app, f"Group/{made['id']}/$export").told() == kick_off(app, f"{absent}/$export").told()


def test_a_family_keeps_no_list_of_others(family: Neighbourhood) -> None:
    assert family.mother.create(group(YUKI, HANA, REN)).status == 422
    assert family.mother.create(group()).status == 422
    assert family.mother.create(group(YUKI)).status == 201


def test_a_list_in_a_transaction(family: Neighbourhood) -> None:
    assert family.clinic.bundle("transaction", post(group(*EVERYBODY))).status == 200


@pytest.mark.spec(IG, "export: Group", "the members the client may see, each as any search shows it")
def test_a_group_gives_no_more_than_may_be_seen(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    family.stranger_of(KAI).made(pressure(KAI))
    own = family.clinic.made(pressure())
    made = family.clinic.made(group(*EVERYBODY))
    found = exported(family.clinic, f"Group/{made['id']}/$export")
    assert found.names() == exported(family.clinic, "Patient/$export").names()
    assert f"Observation/{own['id']}" in found.names()
    assert not any(str(KAI) in str(r) for r in found.resources())


@pytest.mark.spec(IG, "export: patient", "not members of the Group: an OperationOutcome that names one")
def test_patients_outside_the_group(family: Neighbourhood) -> None:
    made = family.clinic.made(group(HANA, REN))
    body = parameters(patient={"reference": f"Patient/{YUKI}"})
    answer = kick_off(family.clinic, f"Group/{made['id']}/$export", body)
    assert (answer.status, answer.issue["code"]) == (422, "not-found")
    assert str(YUKI) in answer.issue["diagnostics"]


def test_slices_of_a_large_group_give_each_resource_once(
    family: Neighbourhood, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phr.fhir.bulk import plan

    monkeypatch.setattr(plan, "SLICE", 1)
    both = pressure(performer=[{"reference": f"Patient/{YUKI}"}], subject={"reference": f"Patient/{OTSU}"})
    family.mother.made(pressure())
    family.clinic.made(pressure())
    family.of_clinic("9919000003").create(both)
    made = family.clinic.made(group(*EVERYBODY))
    found = [
        f"{r['resourceType']}/{r['id']}" for r in exported(family.clinic, f"Group/{made['id']}/$export").resources()
    ]
    assert len(found) == len(set(found))
    assert set(found) == exported(family.clinic, "Patient/$export").names()
