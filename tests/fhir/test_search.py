"""Search through HTTP: every kind of parameter, order, count, total (R4 search.html)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.utils import timezone

from phr.populate.cast import HANA, YUKI
from tests.family import LOINC, Answer, Neighbourhood, encoded, organization, pressure, weight

WEIGHT, SYSTOLIC = "29463-7", "8480-6"
LOCAL = "https://clinic.example/codes"


def found(answer: Answer) -> set[str]:
    assert answer.status == 200, answer
    return set(answer.ids)


def named(app: Any, **resources: dict[str, Any]) -> dict[str, str]:
    """Create, and id -> the name given here."""
    return {app.made(resource)["id"]: name for name, resource in resources.items()}


@pytest.fixture
def mother(family: Neighbourhood) -> Any:
    return family.mother


def ask(mother: Any, names: dict[str, str], **params: str) -> set[str]:
    """The names of what an Observation search finds."""
    return {names[x] for x in found(mother.search("Observation", **params))}


# -- token -------------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.1.4.10", "token: code, system|code, |code, system|")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (WEIGHT, {"weight"}), (f"{LOINC}|{WEIGHT}", {"weight"}), (f"{LOCAL}|{WEIGHT}", set()), (f"|{WEIGHT}", set()),
        (f"{LOINC}|", {"weight", "pressure"}), (f"{LOCAL}|", {"local"}), ("|plain", {"plain"}), ("plain", {"plain"}),
        (f"{LOINC}|plain", set()), (f"{LOINC}|{WEIGHT},{LOCAL}|w", {"weight", "local"}), ("w", {"local"}),
        ("W", set()), ("a\\,b", {"comma"}), ("a,b", set()), ("a\\|b", set()),
    ],
)  # fmt: skip
def test_tokens(mother: Any, value: str, expected: set[str]) -> None:
    names = named(
        mother, weight=weight(), pressure=pressure(), local=weight(code={"coding": [{"system": LOCAL, "code": "w"}]}),
        plain=weight(code={"coding": [{"code": "plain"}]}), comma=weight(code={"coding": [{"code": "a,b"}]}),
    )  # fmt: skip
    assert ask(mother, names, code=value) == expected


@pytest.mark.spec("FHIR R4", "3.1.1.4.5", ":not finds what has none of the values, also what has no value")
def test_not_and_missing(mother: Any) -> None:
    names = named(
        mother, weight=weight(), pressure=pressure(),
        bare=weight(category=None, effectiveDateTime=None, valueQuantity=None),
    )  # fmt: skip
    assert ask(mother, names, **{"code:not": WEIGHT}) == {"pressure"}
    assert ask(mother, names, **{"category:not": "vital-signs"}) == {"bare"}
    assert ask(mother, names, **{"category:not": "social-history"}) == {"weight", "pressure", "bare"}
    assert ask(mother, names, **{"category:missing": "true"}) == {"bare"}
    assert ask(mother, names, **{"category:missing": "false"}) == {"weight", "pressure"}
    assert ask(mother, names, **{"date:missing": "true"}) == {"bare"}
    assert ask(mother, names, **{"subject:missing": "true"}) == set()
    assert ask(mother, names, **{"patient:missing": "false"}) == {"weight", "pressure", "bare"}
    assert ask(mother, names, category="vital-signs", **{"code:not": WEIGHT}) == {"pressure"}


# -- reference ---------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.1.4.12", "reference: id, Type/id, an absolute URL, :Type, :identifier")
def test_references(mother: Any) -> None:
    elsewhere = "https://other.example/fhir/Encounter/1"
    logical = {"identifier": {"system": "urn:x", "value": "E-1"}}
    names = named(
        mother, near=weight(encounter={"reference": "Encounter/near"}), far=weight(encounter={"reference": elsewhere}),
        logical=weight(encounter=logical), none=weight(),
    )  # fmt: skip
    everything = {"near", "far", "logical", "none"}
    for value in (str(YUKI), f"Patient/{YUKI}", f"http://127.0.0.1:8000/fhir/Patient/{YUKI}"):
        assert ask(mother, names, subject=value) == everything
        assert ask(mother, names, patient=value) == everything
    assert ask(mother, names, **{"subject:Patient": str(YUKI)}) == everything
    assert ask(mother, names, **{"subject:Group": str(YUKI)}) == set()
    for nobody in (str(HANA), f"Patient/{HANA}", f"https://other.example/fhir/Patient/{YUKI}"):
        assert ask(mother, names, subject=nobody) == set()
    assert ask(mother, names, encounter="near") == ask(mother, names, encounter="Encounter/near") == {"near"}
    assert ask(mother, names, encounter=elsewhere) == {"far"}
    assert ask(mother, names, encounter="Encounter/1") == set()
    assert ask(mother, names, **{"encounter:identifier": "urn:x|E-1"}) == {"logical"}
    assert ask(mother, names, **{"encounter:identifier": "E-1"}) == {"logical"}
    assert ask(mother, names, encounter=f"near,{elsewhere}") == {"near", "far"}


# -- date --------------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.1.4.8", "date: prefixes over the spans of partial dates, zones and periods")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01", {"day", "moment"}), ("2026-03", {"day", "moment", "month"}),
        ("2026", {"day", "moment", "month", "late"}),
        ("2026-03-01T09:30:00+09:00", {"moment"}), ("2026-03-01T00:30:00Z", {"moment"}),
        ("2026-03-01T09:30:00", {"moment"}), ("2026-03-01T09:30", {"moment"}),
        ("2026-03-01T08:30:00Z", set()), ("gt2026-03-01", {"month", "open", "late"}),
        ("ge2026-03-01", {"day", "moment", "month", "open", "late"}), ("lt2026-03-01", {"period", "open"}),
        ("le2026-03-01", {"day", "moment", "period", "open"}), ("sa2026-03-01", {"late"}), ("eb2026-03-01", {"period"}),
        ("ne2026-03", {"period", "open", "late"}), ("gt2027", {"open"}), ("lt2020", set()),
        ("ap2026-03-01", {"day", "moment", "month", "open", "period", "late"}),
        ("2025-12-31,2026-04", {"period", "late"}),
    ],
)  # fmt: skip
def test_dates(mother: Any, value: str, expected: set[str]) -> None:
    names = named(
        mother, day=weight(on="2026-03-01"), moment=weight(on="2026-03-01T09:30:00+09:00"), month=weight(on="2026-03"),
        period=weight(effectiveDateTime=None, effectivePeriod={"start": "2025-12-31", "end": "2025-12-31"}),
        open=weight(effectiveDateTime=None, effectivePeriod={"start": "2026-01-01"}), late=weight(on="2026-04-30"),
        undated=weight(effectiveDateTime=None),
    )  # fmt: skip
    if value.startswith("ap"):
        assert ask(mother, names, date=value) >= {"day", "moment", "month", "open"}
        return
    assert ask(mother, names, date=value) == expected
    # Two conditions hold together; what decides both is each one's own span.
    both = mother.search("Observation", ("date", value), ("date", "ge2026-03-01"))
    assert {names[x] for x in found(both)} == expected & {"day", "moment", "month", "open", "late"}


@pytest.mark.parametrize(
    "value", ["2026-13", "2026-02-30", "03-01", "xx2026", "2026-03-01T25:00", "eq", "2026-3-1", ""]
)
def test_dates_that_are_none(mother: Any, value: str) -> None:
    answer = mother.search("Observation", date=value)
    assert (answer.status, answer.issue["expression"]) == (400, ["http.date"])


def test_a_date_outside_the_clinical_time(mother: Any) -> None:
    yuki = found(mother.search("Patient", birthdate="1992-02-03"))
    assert yuki == {str(YUKI)}
    assert found(mother.search("Patient", birthdate="ge1992")) == yuki
    assert found(mother.search("Patient", birthdate="lt1992")) == set()


# -- string ------------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.1.4.9", "string: begins with, folded; :contains; :exact")
@pytest.mark.parametrize(
    ("param", "value", "there"),
    [
        ("name", "ミホン", True), ("name", "ﾐﾎﾝ", True), ("name", "みほん", True), ("name", "見本", True),
        ("name", "見本雪", True), ("name", "見本　雪", True), ("name", "ゆき", True), ("name", "ユ", True),
        ("name", "キ", False), ("name:contains", "キ", True), ("name:contains", "ﾕｷ", True),
        ("name:exact", "ユキ", True),
        ("name:exact", "ﾕｷ", False), ("name:exact", "ゆき", False), ("family", "見", True), ("given", "見", False),
        ("name", "100%", False), ("name", "%", False), ("name", "_", False), ("name:contains", "\\\\", False),
        ("address-city", "見本", True), ("name", "だれか,ゆき", True),
    ],
)  # fmt: skip
def test_strings(mother: Any, param: str, value: str, there: bool) -> None:
    assert found(mother.search("Patient", **{param: value})) == ({str(YUKI)} if there else set())


def test_uris_and_tags(mother: Any) -> None:
    profile = "http://jpfhir.jp/fhir/core/StructureDefinition/JP_Observation_Common"
    made = mother.made(weight(meta={"profile": [profile], "tag": [{"system": "urn:t", "code": "here"}]}))
    mother.made(weight())
    assert found(mother.search("Observation", _profile=profile)) == {made["id"]}
    assert found(mother.search("Observation", _tag="urn:t|here")) == {made["id"]}
    assert found(mother.search("Observation", _profile=profile + "x")) == set()


# -- every type: _id, _lastUpdated, _sort, _count, _total ----------------------------------------------


def test_ids(mother: Any) -> None:
    one, two = mother.made(weight())["id"], mother.made(weight())["id"]
    assert found(mother.search("Observation", _id=one)) == {one}
    assert found(mother.search("Observation", _id=f"{one},{two},nobody")) == {one, two}
    assert found(mother.search("Patient", _id=one)) == set()
    assert found(mother.search("Observation", _id="x" * 2000)) == set()


def test_last_updated(mother: Any) -> None:
    made = mother.made(weight())
    at = made["meta"]["lastUpdated"]
    assert found(mother.search("Observation", _lastUpdated=at)) == {made["id"]}
    later = (timezone.now() + timedelta(hours=1)).isoformat(timespec="seconds")
    for value, there in ((f"ge{at}", True), (f"le{at}", True), (f"gt{at}", False), (f"lt{at}", False),
                         (f"gt{later}", False), (f"lt{later}", True), ("2000", False), ("ne2000", True)):  # fmt: skip
        assert found(mother.search("Observation", _lastUpdated=value)) == ({made["id"]} if there else set()), value
    assert mother.search("Observation", **{"_lastUpdated:missing": "true"}).status == 400


@pytest.mark.spec("FHIR R4", "3.1.1.5.1", "_sort: ascending and descending; what has no value comes last")
def test_sort(mother: Any) -> None:
    names = named(
        mother, b=weight(on="2026-02-01"), none=weight(effectiveDateTime=None), a=weight(on="2026-01-01"),
        c=weight(on="2026-03-01"), same=weight(on="2026-03-01"),
    )  # fmt: skip

    def order(**params: str) -> list[str]:
        answer = mother.search("Observation", **params)
        return [names[x] for x in answer.ids]

    assert order() == ["same", "c", "a", "none", "b"]  # newest first
    assert order(_sort="date") == ["a", "b", "same", "c", "none"]
    assert order(_sort="-date") == ["same", "c", "b", "a", "none"]
    assert order(_sort="-date,_id")[:2] == sorted(["same", "c"], key={v: k for k, v in names.items()}.get)
    assert mother.search("Observation", _sort="_id").ids == sorted(names)
    assert mother.search("Observation", _sort="-_id").ids == sorted(names, reverse=True)
    told = mother.search("Observation", _sort="_lastUpdated").json["entry"]
    stamps = [e["resource"]["meta"]["lastUpdated"] for e in told]
    assert stamps == sorted(stamps)
    for bad in ("code", "nonsense", "date,,", "-", "_sort", "date,-date,_id,_lastUpdated", "\x00"):
        assert mother.search("Observation", _sort=bad).status == 400, bad


def test_sort_by_a_string(family: Neighbourhood) -> None:
    for name in ("うさぎ産院", "アヒル産院", "いるか産院"):
        family.clinic.made(organization(name))
    told = family.clinic.search("Organization", _sort="name").json["entry"]
    assert [e["resource"]["name"] for e in told] == ["アヒル産院", "いるか産院", "うさぎ産院"]
    back = family.clinic.search("Organization", _sort="-name").json["entry"]
    assert back == told[::-1]


@pytest.mark.spec("FHIR R4", "3.1.1.5.3", "_count: at most so many; 0 asks for the total only")
def test_count_and_total(mother: Any) -> None:
    for _ in range(3):
        mother.made(weight())
    assert len(mother.search("Observation", _count="2").ids) == 2
    assert "total" not in mother.search("Observation", _count="2").json
    assert mother.search("Observation", _count="2", _total="accurate").json["total"] == 3
    assert mother.search("Observation", _total="estimate").json["total"] == 3
    assert "total" not in mother.search("Observation", _total="none").json
    for only in ({"_count": "0"}, {"_summary": "count"}):
        told = mother.search("Observation", **only).json
        assert (told["total"], "entry" in told) == (3, False)
    assert mother.search("Observation", code="nothing", _total="accurate").json["total"] == 0
    for bad in ({"_count": "-1"}, {"_count": "x"}, {"_count": "1.5"}, {"_count": ""}, {"_total": "all"},
                {"_summary": "x"}):  # fmt: skip
        assert mother.search("Observation", **bad).status == 400, bad


def test_a_searchset_says_what_was_asked(mother: Any) -> None:
    made = mother.made(weight())
    answer = mother.search("Observation", code=WEIGHT, nonsense="1", _format="json")
    told = answer.json
    assert (told["resourceType"], told["type"]) == ("Bundle", "searchset")
    asked = f"http://127.0.0.1:8000/fhir/Observation?code={WEIGHT}&_format=json"
    assert told["link"] == [{"relation": "self", "url": asked}]
    assert told["entry"][0]["fullUrl"] == f"http://127.0.0.1:8000/fhir/Observation/{made['id']}"
    assert told["entry"][0]["search"] == {"mode": "match"}


@pytest.mark.spec("FHIR R4", "3.1.1.3", "unknown parameters: ignored when lenient, refused when strict")
def test_handling(mother: Any) -> None:
    assert mother.get("Observation?nonsense=1").status == 200
    assert mother.get("Observation?nonsense=1", prefer="handling=lenient").status == 200
    answer = mother.get("Observation?nonsense=1", prefer="handling=strict")
    assert (answer.status, answer.issue["expression"]) == (400, ["http.nonsense"])
    [outcome] = mother.get("Observation?nonsense=1&code=x").json["entry"]
    assert outcome["search"] == {"mode": "outcome"}
    [issue] = outcome["resource"]["issue"]
    assert (issue["severity"], issue["expression"]) == ("warning", ["http.nonsense"])
    # What is known but not answered is never ignored: the result would be wider than what was asked.
    for later in ("_query=x", "_contained=true", "_security=R", "_filter=x", "_include=x", "_sort=value-quantity",
                  "code:nonsense=x", "_has:Observation=x", "subject.nonsense=x", "_type=Patient"):  # fmt: skip
        assert mother.get(f"Observation?{later}").status == 400, later


@pytest.mark.spec("FHIR R4", "3.1.1", "POST [type]/_search with a form is the same search")
def test_post_search(mother: Any) -> None:
    made = mother.made(weight())
    mother.made(pressure())
    form = "application/x-www-form-urlencoded"
    answer = mother.ask("POST", "Observation/_search", f"code={WEIGHT}".encode(), type=form)
    assert found(answer) == {made["id"]}
    both = mother.ask("POST", "Observation/_search?status=final", f"code={WEIGHT}".encode(), type=form)
    assert found(both) == {made["id"]}
    assert mother.ask("POST", "Observation/_search", encoded({}), type="application/json").status == 415
    assert mother.ask("POST", "Observation/_search", b"code=\xff", type=form).status == 400
    assert mother.ask("POST", "Observation/_search", b"code=%ff", type=form).status == 400
    assert mother.ask("POST", "Observation/_search", b"&".join([b"a=1"] * 200), type=form).status == 400
    assert mother.get("Observation/_search").status == 405


@pytest.mark.parametrize(
    "text",
    [
        "code=%00", "code=a%0ab", "code=%ed%a0%80", "code=" + "x" * 3000, "code=|", "code=a|b|c", "code=,",
        "code=a%5Cb",
        "subject=a/b", "subject=Nothing/1", "subject=Practitioner/1", "date=ge", "_id=", "_id=,", "code=a&_page=xx",
        "_count=1&_count=2", "_sort:x=date", "%ff=1", "patient:Nonsense=1", "patient:identifier=", "name=%00",
        "_page=%00",
        "_tag:not=" + quote("a|b|c"),
    ],
)  # fmt: skip
def test_searches_that_are_none(mother: Any, text: str) -> None:
    answer = mother.get(f"Observation?{text}")
    assert (answer.status, answer.issue["severity"]) == (400, "error"), answer


# -- plans -------------------------------------------------------------------------------------------


def test_no_search_is_prepared(family: Neighbourhood) -> None:
    """A generic plan would walk the term every row has: a patient's search fell from 840/s to 79/s."""
    for _ in range(12):
        assert family.mother.search(f"Observation?subject=Patient/{YUKI}&status=final").status == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        statements = [row[0] for row in cursor.fetchall()]
    assert statements, "lookups by key are prepared"
    assert not [s for s in statements if "terms" in s and "LIMIT" in s]
