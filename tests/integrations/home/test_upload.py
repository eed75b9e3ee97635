"""Uploads from phones at the door: each measurement once, hints, quota, whose it is (integrations/home)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from phr.populate.cast import HANA, YUKI
from phr.records.plausibility import TAG_SYSTEM
from tests.family import Answer, App, Neighbourhood, encoded, rows
from tests.integrations.home.test_parse import CONNECT, KIT, XML

PLACE = "/api/imports/home"


def send(app: App, content: bytes, kind: str = "application/json", query: str = "") -> Answer:
    return app.ask("POST", PLACE + query, content, type=kind)


def counts(answer: Answer) -> tuple[int, int, int, int]:
    assert answer.status == 200, answer
    told = answer.json["counts"]
    return told["created"], told["updated"], told["unchanged"], told["retracted"]


def sample(value: float = 52.4, **more: Any) -> dict[str, Any]:
    return {"type": "weight", "startDate": "2026-03-01T07:00:00+09:00", "value": value, "unit": "kg"} | more


def listed(*samples: Any, **more: Any) -> bytes:
    return encoded({"source": "app", "samples": list(samples), **more})


@pytest.mark.parametrize(
    ("content", "kind", "number"),
    [(XML, "application/xml", 6), (CONNECT, "application/json", 5), (KIT, "application/json", 4)],
    ids=["apple export", "health connect", "healthkit"],
)
def test_each_measurement_is_there_once(family: Neighbourhood, content: bytes, kind: str, number: int) -> None:
    first = send(family.mother, content, kind)
    assert counts(first) == (number, 0, 0, 0)
    found = family.mother.search("Observation", _count="100").json["entry"]
    assert len(found) == number
    assert {e["resource"]["subject"]["reference"] for e in found} == {f"Patient/{YUKI}"}
    before = rows()
    assert counts(send(family.mother, content, kind)) == (0, 0, number, 0)
    assert {k: v for k, v in rows().items() if k != "consent_auditentry"} == before


def test_a_bad_file_stores_nothing(family: Neighbourhood) -> None:
    before = rows()
    for content in (XML[:-20], b" ", b"<!DOCTYPE a [<!ENTITY x 'y'>]><a/>"):
        answer = send(family.mother, content, "application/xml")
        assert (answer.status, answer.issue["code"]) == (422, "structure")
    assert rows() == before


def test_what_its_source_changed_is_updated_and_what_it_deleted_erred(family: Neighbourhood) -> None:
    first = json.loads(CONNECT)
    send(family.mother, CONNECT)
    first["records"][0]["weight"] = {"inKilograms": 53.1}
    assert counts(send(family.mother, json.dumps(first).encode())) == (0, 0, 5, 0)  # no later word of the source
    first["records"][0]["metadata"]["lastModifiedTime"] = "2026-03-05T00:00:00Z"
    assert counts(send(family.mother, json.dumps(first).encode())) == (0, 1, 4, 0)
    assert counts(send(family.mother, CONNECT)) == (0, 0, 5, 0)  # an older word never replaces a newer
    gone = {"source": "health-connect", "records": [], "deleted": ["8f0c1d1e-0001", "never there"]}
    assert counts(send(family.mother, encoded(gone))) == (0, 0, 0, 1)
    assert counts(send(family.mother, encoded(gone))) == (0, 0, 1, 0)
    found = family.mother.search("Observation", code="29463-7").json["entry"][0]["resource"]
    assert (found["status"], str(found["valueQuantity"]["value"])) == ("entered-in-error", "53.1")


def test_what_the_family_deleted_stays_deleted(family: Neighbourhood) -> None:
    send(family.mother, listed(sample(uuid="a")))
    [id] = family.mother.search("Observation").ids
    assert family.mother.delete(f"Observation/{id}").status == 204
    assert counts(send(family.mother, listed(sample(uuid="a")))) == (0, 0, 1, 0)
    assert family.mother.search("Observation").ids == []


def test_the_parents_send_the_same_of_their_child_once(family: Neighbourhood) -> None:
    content = listed(sample(8.1, uuid="a"))
    mother = family.app("mother", patient="hana")
    assert counts(send(mother, content)) == (1, 0, 0, 0)
    assert counts(send(family.father, content)) == (0, 0, 1, 0)
    stored = family.father.search("Observation").json["entry"][0]["resource"]
    assert stored["performer"] == [{"type": "RelatedPerson", "display": "保護者"}]
    assert stored["subject"] == {"reference": f"Patient/{HANA}"}


def test_unlikely_values_are_stored_tagged_and_told(family: Neighbourhood) -> None:
    answer = send(family.mother, listed(sample(5240, uuid="a"), sample(52.4, uuid="b")))
    [hint] = answer.json["hints"]
    assert (hint["severity"], hint["expression"]) == ("warning", "Observation.value")
    assert "5240" not in hint["ja"] + hint["en"]
    found = family.mother.search("Observation", _tag=f"{TAG_SYSTEM}|unlikely").ids
    assert [hint["reference"]] == [f"Observation/{id}" for id in found]


def test_since_bounds_an_upload(family: Neighbourhood) -> None:
    assert counts(send(family.mother, XML, "application/xml", "?since=2026-03-03"))[0] == 2
    assert send(family.mother, XML, "application/xml", "?since=3").status == 400


def test_the_future_and_other_units_fall_out_alone(family: Neighbourhood) -> None:
    answer = send(family.mother, listed(sample(startDate="2999-01-01T00:00:00Z"), sample(unit="cm"), sample()))
    assert counts(answer) == (1, 0, 0, 0)
    assert [p["code"] for p in answer.json["problems"]] == ["future", "wrong-unit"]


def test_the_quota_counts_what_is_new(family: Neighbourhood, settings: Any) -> None:
    settings.PHR_APP_WRITES_PER_DAY = 3
    content = listed(*(sample(uuid=str(n)) for n in range(3)))
    assert counts(send(family.mother, content)) == (3, 0, 0, 0)
    assert counts(send(family.mother, content)) == (0, 0, 3, 0)  # nothing new: nothing counts
    answer = send(family.mother, listed(sample(uuid="x")))
    assert (answer.status, answer.issue["code"]) == (429, "throttled")
    assert int(answer.headers["Retry-After"]) > 0


def test_the_quota_counts_what_is_changed_and_taken_back(family: Neighbourhood, settings: Any) -> None:
    settings.PHR_APP_WRITES_PER_DAY = 3

    def changed(hour: int) -> bytes:
        at = {"lastModifiedTime": f"2026-03-02T{hour:02d}:00:00+09:00"}
        return listed(sample(50 + hour, uuid="a", metadata=at))

    assert counts(send(family.mother, changed(1))) == (1, 0, 0, 0)
    assert counts(send(family.mother, changed(2))) == (0, 1, 0, 0)
    assert counts(send(family.mother, changed(3))) == (0, 1, 0, 0)
    assert send(family.mother, changed(4)).status == 429
    assert send(family.mother, listed(deleted=["a"])).status == 429
    assert counts(send(family.mother, changed(3))) == (0, 0, 1, 0)


def test_whose_it_is(family: Neighbourhood) -> None:
    content = listed(sample())
    assert send(family.anonymous, content).status == 401
    assert send(family.clinic, content).status == 403
    assert send(family.officer, content).status == 403
    assert send(family.aunt, content).status in (403, 404)
    assert send(family.mother, content, query=f"?subject={HANA}").status == 404  # the token's patient is Yuki
    assert send(family.stranger, content, query=f"?subject={YUKI}").status == 404
    assert send(family.mother, content, query="?subject=x").status == 404
    assert send(family.mother, content, query="?nothing=x").status == 400
    assert send(family.mother, content, "text/csv").status == 415
    reader = family.app("mother", scope="patient/Observation.rs")
    assert send(reader, content).status == 403


def test_too_many_are_refused_whole(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch) -> None:
    from integrations.home import uploading

    monkeypatch.setattr(uploading, "MOST", 2)
    before = rows()
    answer = send(family.mother, listed(*(sample(uuid=str(n)) for n in range(3))))
    assert (answer.status, "since" in answer.issue["diagnostics"]) == (413, True)
    assert rows() == before
