"""A child's record is split from the mother's: the minimal copy, and nothing of hers (G-01, G-02, G-03)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from consent import notices
from consent.models import Birth, Guardianship, Notice, Subject
from consent.notices import Kind
from phr.populate import personas
from phr.populate.cast import OBSTETRIC, YUKI
from phr.smart.demo import APP
from phr.smart.demo import person_token as token_of
from tests.family import LOINC, App, Neighbourhood, rows, weight
from tests.guardianship.desk import done, get, new_link, person, post

ITEM = "https://tsumugi.example/fhir/CodeSystem/mch-item"
SECRET_TEXT = "母は夫に言えないことがある"


def at_birth(hours: int = 0) -> str:
    return (timezone.now() - timedelta(days=3, hours=-hours)).isoformat(timespec="seconds")


def told(code: str, system: str = LOINC, **more: Any) -> dict[str, Any]:
    """An Observation of the clinic in the mother's record."""
    coding = {"coding": [{"system": system, "code": code}], "text": SECRET_TEXT}
    return weight(YUKI, **{"code": coding, "category": None, "on": None, "effectiveDateTime": at_birth(1)} | more)


def answered(text: str) -> dict[str, Any]:
    return {"valueQuantity": None, "valueCodeableConcept": {"text": text, "coding": [{"system": ITEM, "code": text}]}}


def quantity(value: int, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}


MINIMAL = {
    "11884-4": {"valueQuantity": quantity(277, "d")},
    "8339-4": {"valueQuantity": quantity(3120, "g"), "note": [{"text": SECRET_TEXT}]},
    "89269-5": {"valueQuantity": quantity(49, "cm"), "identifier": [{"system": "urn:x", "value": "MOTHER-77"}]},
    "9843-4": {"valueQuantity": quantity(33, "cm")},
    "9274-2": {"valueQuantity": None, "valueInteger": 9},
    "54109-4": answered("パス"),
}
HERS = {
    "71354-5": {"valueQuantity": None, "valueInteger": 21},  # EPDS
    "5196-1": answered("陽性"),  # HBs antigen
    "56888-1": answered("陽性"),  # HIV
    "11996-6": {"valueQuantity": None, "valueInteger": 4},  # gravida
    "11977-6": {"valueQuantity": None, "valueInteger": 1},  # para
    "73762-7": answered("帝王切開"),
}


@pytest.fixture
def hers(family: Neighbourhood) -> dict[str, str]:
    """code -> reference, in the mother's record."""
    made = {code: family.clinic.made(told(code, **more)) for code, more in (MINIMAL | HERS).items()}
    return {code: f"Observation/{one['id']}" for code, one in made.items()}


def split(family: Neighbourhood, **more: Any) -> list[UUID]:
    body = {"mother": str(YUKI), "children": [{"born_at": at_birth(), "gender": "female", "name": "見本 つむぎ"}]}
    return [UUID(id) for id in done(family.app("obstetrician"), "desk/births", body | more)["children"]]


def father_of(family: Neighbourhood, child: UUID) -> App:
    done(family.officer, "desk/guardianships",
         new_link("ichiro", child, kind="parent", evidence="birth-notice"))  # fmt: skip
    told = token_of(
        person("ichiro"), client_id=APP, scope=personas.OWN, patient=str(child), now=timezone.now()
    )  # fmt: skip
    return App(told["access_token"])


@pytest.mark.G("02")
def test_the_child_gets_the_minimal_copy_and_nothing_else(family: Neighbourhood, hers: dict[str, str]) -> None:
    [child] = split(family)
    father = father_of(family, child)
    found = {
        one["code"]["coding"][-1]["code"]: one
        for one in (e["resource"] for e in father.search("Observation", _count="200").json.get("entry", []))
    }
    assert found.keys() == {
        "birth.ga", "child.weight", "child.length", "child.head", "child.apgar5", "nbh.first.r",
        "birth.prophylaxis.indicated",
    }  # fmt: skip
    assert found["child.weight"]["valueQuantity"]["value"] == 3120
    assert found["nbh.first.r"]["valueCodeableConcept"]["text"] == "パス"
    assert found["birth.prophylaxis.indicated"]["valueBoolean"] is True  # for what is not said
    assert father.get(f"Patient/{child}").json["name"] == [{"use": "usual", "text": "見本 つむぎ"}]
    assert father.get(f"Patient/{child}").json["multipleBirthBoolean"] is False


@pytest.mark.G("03")
def test_the_father_finds_nothing_of_the_mothers(family: Neighbourhood, hers: dict[str, str]) -> None:
    [child] = split(family)
    father = father_of(family, child)
    found = father.get(f"Patient/{child}/$everything")
    own = [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in found.json["entry"]]
    types = {one.partition("/")[0] for one in own}
    assert {"Patient", "Observation", "RelatedPerson"} <= types
    answers = [found, father.get("_history"), father.search("Provenance"), father.get(f"Patient/{child}/*")]
    pulled = {"_include": "*", "_revinclude": "Provenance:target", "_count": "100"}
    answers += [father.search(kind, **pulled) for kind in sorted(types)]
    for reference in own:
        answers += [father.get(f"{reference}/_history"), father.get(reference)]
    answers += [father.search("Provenance", target=reference) for reference in own]
    answers += [father.get("Patient/$everything"), father.get(f"Patient/{child}/$summary")]
    everything = b"\n".join(answer.content for answer in answers)
    assert b"3120" in everything
    # A search says again what was asked of it: the ids in question are those of the mother.
    for hidden in (str(YUKI), SECRET_TEXT, "MOTHER-77", "71354-5", "5196-1", "11996-6", "帝王切開", *hers.values()):
        assert hidden.encode() not in everything, hidden
        assert hidden.partition("/")[2].encode() not in everything or "/" not in hidden, hidden


@pytest.mark.G("02")
def test_where_a_copy_came_from_is_seen_by_the_mother_alone(family: Neighbourhood, hers: dict[str, str]) -> None:
    [child] = split(family)
    told = family.mother.search("Provenance").json["entry"]
    [source] = [e["resource"] for e in told if "entity" in e["resource"]]
    assert {one["what"]["reference"] for one in source["entity"]} == {hers[code] for code in MINIMAL}
    father = father_of(family, child)
    assert father.get(f"Provenance/{source['id']}").status == 404
    assert [e["resource"]["id"] for e in father.search("Provenance").json.get("entry", [])] != [source["id"]]
    assert "entity" not in father.search("Provenance").json["entry"][0]["resource"]


@pytest.mark.G("01")
def test_before_birth_there_is_no_child_and_twice_is_once(family: Neighbourhood, hers: dict[str, str]) -> None:
    fetal = family.clinic.made(told("11727-5", valueQuantity=quantity(2500, "g")))
    subjects = Subject.objects.count()
    assert family.mother.get(f"Observation/{fetal['id']}").status == 200
    assert Subject.objects.count() == subjects
    body = {"mother": str(YUKI), "children": [{"born_at": at_birth()}]}
    first = post(family.app("obstetrician"), "desk/births", body)
    before = rows()
    again = post(family.app("obstetrician"), "desk/births", body)
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert rows() == before
    assert Subject.objects.count() == subjects + 1
    assert father_of(family, UUID(first.json["children"][0])).get(f"Observation/{fetal['id']}").status == 404


@pytest.mark.G("02")
def test_twins_get_what_is_theirs(family: Neighbourhood, hers: dict[str, str]) -> None:
    second = family.clinic.made(told("8339-4", valueQuantity=quantity(2410, "g")))
    children = [
        {"born_at": at_birth(), "gender": "female", "sources": [hers["8339-4"], hers["9274-2"]]},
        {"born_at": at_birth(), "gender": "male", "sources": [f"Observation/{second['id']}"]},
    ]
    one, other = split(family, children=children)
    kilos = []
    for order, child in enumerate((one, other), start=1):
        app = father_of(family, child)
        assert app.get(f"Patient/{child}").json["multipleBirthInteger"] == order
        found = {
            e["resource"]["code"]["coding"][-1]["code"]: e["resource"] for e in app.search("Observation").json["entry"]
        }
        assert "birth.ga" in found
        kilos.append(found["child.weight"]["valueQuantity"]["value"])
    assert kilos == [3120, 2410]


@pytest.mark.G("02")
@pytest.mark.parametrize("code", sorted(HERS))
def test_what_is_hers_is_not_copied_even_when_it_is_named(
    family: Neighbourhood, hers: dict[str, str], code: str
) -> None:
    before = rows()
    body = {"mother": str(YUKI), "children": [{"born_at": at_birth(), "sources": [hers[code]]}]}
    answer = post(family.app("obstetrician"), "desk/births", body)
    assert answer.status == 422, answer
    assert rows() == before
    assert not Birth.objects.exists()


@pytest.mark.G("04")
def test_only_the_delivering_clinic_or_a_municipality_records_a_birth(
    family: Neighbourhood, hers: dict[str, str]
) -> None:
    body = {"mother": str(YUKI), "children": [{"born_at": at_birth()}]}
    assert post(family.mother, "desk/births", body).status == 403
    assert post(family.app("paediatrician"), "desk/births", body).status == 404  # never wrote in her record
    other = body | {"delivered_by": OBSTETRIC.code}
    assert post(family.app("paediatrician"), "desk/births", other).status == 403
    assert post(family.officer, "desk/births", other).status == 201
    link = Guardianship.objects.get(subject=Birth.objects.get().child)
    assert (link.person, link.evidence, link.kind) == (person("yuki"), "birth-notice", "parent")


@pytest.mark.G("01")
@pytest.mark.parametrize(
    "wrong",
    [
        {"children": []}, {"children": [{"born_at": "2199-01-01T00:00:00Z"}]},
        {"children": [{"born_at": "0001-01-01T00:00:00+14:00"}]}, {"children": [{"born_at": "1970-01-01T00:00:00Z"}]},
        {"children": [{"born_at": "soon"}]},
        {"children": [{"born_at": "2026-01-01T00:00:00Z", "sources": ["Patient/x"]}]},
        {"mother": "x"}, {"delivered_by": "0000000000"},
    ],
)  # fmt: skip
def test_births_that_cannot_be(family: Neighbourhood, hers: dict[str, str], wrong: dict[str, Any]) -> None:
    before = rows()
    body = {"mother": str(YUKI), "children": [{"born_at": at_birth()}]} | wrong
    assert post(family.app("obstetrician"), "desk/births", body).status == 422
    assert rows() == before


@pytest.mark.G("01")
def test_twins_are_recorded_whole_or_not_at_all(family: Neighbourhood, hers: dict[str, str]) -> None:
    before, links = rows(), Guardianship.objects.count()
    children = [{"born_at": at_birth()}, {"born_at": at_birth(), "sources": [hers["71354-5"]]}]
    assert post(family.app("obstetrician"), "desk/births", {"mother": str(YUKI), "children": children}).status == 422
    assert (rows(), Guardianship.objects.count()) == (before, links)


# -- loss ----------------------------------------------------------------------------------------------


@pytest.fixture
def episode(family: Neighbourhood) -> str:
    kind = {"coding": [{"system": "https://tsumugi.example/fhir/CodeSystem/visit-kind", "code": "prenatal"}]}
    made = {
        "resourceType": "EpisodeOfCare", "status": "active", "type": [kind],
        "patient": {"reference": f"Patient/{YUKI}"}, "period": {"start": "2026-06-01"},
    }  # fmt: skip
    return str(family.clinic.made(made)["id"])


def remind(episode: str) -> None:
    yuki = person("yuki")
    notices.tell(
        Kind.PREGNANCY_REMINDER, to=[yuki], subject=YUKI, now=timezone.now(), detail={"episode": episode}
    )  # fmt: skip


@pytest.mark.G("01")
@pytest.mark.parametrize("loss", ["miscarriage", "termination", "stillbirth", "ectopic"])
def test_a_loss_makes_no_child_and_silences_every_reminder(family: Neighbourhood, episode: str, loss: str) -> None:
    remind(episode)
    assert [row["kind"] for row in get(family.mother, "notices").json] == ["pregnancy:reminder"]
    subjects, told = Subject.objects.count(), Notice.objects.count()
    body = {"mother": str(YUKI), "episode": episode, "loss": loss, "on": str(timezone.now().date())}
    done(family.app("obstetrician"), "desk/losses", body)
    assert Subject.objects.count() == subjects
    assert Notice.objects.count() == told, "nobody is told"
    assert get(family.mother, "notices").json == [], "what was told before is gone"
    remind(episode)
    assert get(family.mother, "notices").json == []
    remind("another")
    assert len(get(family.mother, "notices").json) == 1, "a later pregnancy is not silent"
    born = {"mother": str(YUKI), "episode": episode, "children": [{"born_at": at_birth()}]}
    assert post(family.app("obstetrician"), "desk/births", born).status == 409


@pytest.mark.G("01")
def test_a_loss_is_level_three_and_seen_by_nobody_else(family: Neighbourhood, episode: str) -> None:
    root = {
        "permit": True, "purposes": ["FAMRQT"], "actors": [f"person:{person('mei').pk}"],
        "categories": ["PREGNANCY", "CARE", "PROBLEM", "IDENTITY"],
        "valid_to": (timezone.now() + timedelta(days=100)).isoformat(),
    }  # fmt: skip
    from consent import grants

    yuki = person("yuki")
    assert yuki.own_subject
    grants.give(
        subject=yuki.own_subject, root=grants.clause_from_json(root), by=yuki, capacity="self", now=timezone.now()
    )
    aunt = family.app("aunt", patient="yuki", scope=personas.OWN)
    before = aunt.get(f"Patient/{YUKI}/$everything")
    assert any(e["resource"]["resourceType"] == "EpisodeOfCare" for e in before.json["entry"])
    body = {"mother": str(YUKI), "episode": episode, "loss": "miscarriage", "on": str(timezone.now().date())}
    done(family.app("obstetrician"), "desk/losses", body)
    done(family.app("obstetrician"), "desk/losses", body)
    [made] = [e["resource"] for e in family.mother.search("Condition").json["entry"]]
    assert made["code"]["coding"][0]["code"] == "O03.9"
    after = aunt.get(f"Patient/{YUKI}/$everything")
    assert [e["resource"] for e in after.json["entry"]] == [e["resource"] for e in before.json["entry"]]
    assert aunt.get(f"Condition/{made['id']}").status == 404
    assert family.father.get(f"Condition/{made['id']}").status == 404


@pytest.mark.G("01")
def test_only_the_clinic_that_keeps_the_pregnancy_records_its_loss(family: Neighbourhood, episode: str) -> None:
    body = {"mother": str(YUKI), "episode": episode, "loss": "miscarriage", "on": str(timezone.now().date())}
    assert post(family.app("paediatrician"), "desk/losses", body).status == 404
    assert post(family.officer, "desk/losses", body).status == 403
    assert post(family.app("obstetrician"), "desk/losses", body | {"episode": "none"}).status == 404
    assert post(family.app("obstetrician"), "desk/losses", body | {"on": "2199-01-01"}).status == 422
