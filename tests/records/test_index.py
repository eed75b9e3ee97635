"""What is indexed is found: resources through the index, searches through the parser, meeting in terms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records import definitions
from phr.records.index import index_of
from phr.records.search import terms
from phr.records.search.asked import asked_terms
from phr.records.search.normal import normal
from phr.records.search.params import param_ids
from phr.records.search.parse import parse
from phr.records.search.query import Query, Span, Text, kept_ids
from phr.records.search.ranges import FOREVER, date_range, holds
from tests.conftest import NOON
from tests.records.samples import HANA, YUKI, observation, patient, sample
from tests.records.test_validate import JSON

KEY = b"an index key of thirty-two bytes"
OID_JLAC10, JLAC10 = "urn:oid:1.2.392.200119.4.504", "http://medis.or.jp/CodeSystem/master-JLAC10-17digits"


def finds(resource: dict[str, Any], query: str) -> bool:
    """Whether a search finds a resource: the meaning that the SQL compiler must have too."""
    pairs = [tuple(part.split("=", 1)) for part in query.split("&")]
    return answers(resource, parse(resource["resourceType"], pairs, now=NOON))  # type: ignore[arg-type]


def answers(resource: dict[str, Any], query: Query) -> bool:
    indexed = index_of(resource, KEY)
    for condition in query.conditions:
        asked = set(asked_terms(condition, KEY))
        ids = kept_ids(condition.param)
        if condition.missing is not None:
            hit = bool(asked & set(indexed.terms)) != condition.missing
        elif isinstance(condition.values[0], Span):
            hit = any(holds(v.prefix, (v.low, v.high), (low, high)) for v in condition.values if isinstance(v, Span)
                      for id_, low, high in indexed.ranges if id_ in ids)  # fmt: skip
        elif isinstance(condition.values[0], Text) and condition.modifier != "exact":
            inside = condition.modifier == "contains"
            hit = any(v.folded in text if inside else text.startswith(v.folded) for v in condition.values
                      if isinstance(v, Text) for id_, text in indexed.texts if id_ in ids)  # fmt: skip
        else:
            hit = bool(asked & set(indexed.terms)) != (condition.modifier == "not")
        if not hit:
            return False
    return True


@pytest.mark.spec("FHIR R4", "3.1.1.4.10", "token: code, system|code, |code, system|")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("code=29463-7", True),
        ("code=http://loinc.org|29463-7", True),
        ("code=http://loinc.org|", True),
        ("code=|29463-7", False),
        ("code=http://loinc.org|8302-2", False),
        ("code=8302-2,29463-7", True),
        ("code:not=29463-7", False),
        ("code:not=8302-2", True),
        ("combo-code=29463-7", True),
        ("component-code=29463-7", False),
        ("status=final", True),
        ("status=http://hl7.org/fhir/observation-status|final", True),
        ("status=amended", False),
        ("code=29463-7&status=final", True),
        ("code=29463-7&status=amended", False),
        ("category:missing=false", True),
        ("specimen:missing=true", True),
        ("specimen:missing=false", False),
        ("patient:missing=false", True),
    ],
)
def test_tokens(query: str, found: bool) -> None:
    assert finds(observation(), query) is found


@pytest.mark.spec("FHIR R4", "3.1.1.4.12", "reference: id, Type/id, absolute URL, :[type], :identifier")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"subject={HANA}", True),
        (f"subject=Patient/{HANA}", True),
        (f"subject:Patient={HANA}", True),
        (f"subject=Group/{HANA}", False),
        (f"patient={HANA}", True),
        (f"patient=Patient/{HANA}", True),
        (f"patient={YUKI}", False),
        (f"subject=Patient/{YUKI},Patient/{HANA}", True),
        ("performer=city-a", True),
        ("performer=Organization/city-a", True),
        ("performer=Practitioner/city-a", False),
    ],
)
def test_references(query: str, found: bool) -> None:
    assert finds(observation(), query) is found


def test_other_forms_of_references() -> None:
    elsewhere = "https://elsewhere.example/fhir/Patient/1"
    assert finds(observation(subject={"reference": elsewhere}), f"subject={elsewhere}")
    assert finds(observation(subject={"reference": elsewhere}), f"patient={elsewhere}")
    assert not finds(observation(subject={"reference": elsewhere}), "subject=Patient/1")
    assert finds(observation(subject={"reference": f"Patient/{HANA}/_history/3"}), f"subject=Patient/{HANA}")
    logical = observation(subject={"identifier": {"system": "urn:a", "value": "１２"}})
    assert finds(logical, "subject:identifier=urn:a|12")
    assert finds(logical, "subject:identifier=12")
    assert not finds(logical, "subject:identifier=urn:b|12")
    assert finds(observation(focus=[{"reference": "Device/pump"}]), "focus=pump")  # any type: by bare id
    group = observation(subject={"reference": f"Group/{HANA}"})
    assert not finds(group, f"patient={HANA}")
    assert finds(group, "patient:missing=true")
    assert finds(group, f"subject={HANA}")


def test_our_own_absolute_urls_are_relative_references() -> None:
    query = parse("Observation", [("subject", f"https://tsumugi.test/fhir/Patient/{HANA}")], now=NOON,
                  base="https://tsumugi.test/fhir/")  # fmt: skip
    assert answers(observation(), query)


@pytest.mark.spec("JP Core 1.2.0", "NamingSystem", "a system's OID and http spellings are one")
def test_both_spellings_of_a_japanese_system_meet() -> None:
    for stored in (OID_JLAC10, JLAC10):
        lab = observation(code={"coding": [{"system": stored, "code": "2A030000001930901"}]})
        for asked in (OID_JLAC10, JLAC10):
            assert finds(lab, f"code={asked}|2A030000001930901")
            assert finds(lab, f"code={asked}|")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("date=2026-04-01", True), ("date=2026-04", True), ("date=2026-03", False), ("date=ge2026-04-01", True),
        ("date=gt2026-04-01", False), ("date=lt2026-04-02", True), ("date=sa2026-03-31", True),
        ("date=eb2026-04-01", False), ("date=ne2026-04-01", False), ("date=2026-04-01T01:00:00Z", True),
        ("date=ge2026-03-31&date=lt2026-04-01", False), ("date=ap2026-04-01", True),
    ],
)  # fmt: skip
def test_dates(query: str, found: bool) -> None:
    assert finds(observation(), query) is found


def test_periods_and_timings() -> None:
    visit = {"resourceType": "Encounter", "status": "finished", "period": {"start": "2026-04-01"}}
    assert index_of(visit, KEY).ranges == [(param_ids()["date"], date_range("2026-04-01")[0], FOREVER)]
    assert finds(visit, "date=gt2030")
    timing = observation(effectiveDateTime=None, effectiveTiming={"event": ["2026-04-01", "2026-04-05"]})
    assert finds(timing, "date=sa2026-03-31&date=eb2026-04-06")
    assert not finds(timing, "date=2026-04-01")


def test_what_was_measured_or_written_does_not_stand_in_the_index() -> None:
    """Dates and the strings of names are legible there; values and clinical texts are in the sealed body only."""
    measured = index_of(observation(), KEY)
    assert {param for param, _, _ in measured.ranges} == {param_ids()["date"]}
    written = {"resourceType": "Observation", "valueString": "ひみつ", "note": [{"text": "ひみつ"}]}
    indexed = index_of(written, KEY)
    assert (indexed.ranges, indexed.texts) == ([], [])
    assert terms.present_term("Observation", "value-string", KEY) in indexed.terms


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=見本", True), ("name=はな", True), ("name=ﾊﾅ", True), ("name=見本はな", True),
        ("name=ミホン　ハナ", True),
        ("family=ﾐﾎﾝ", True), ("given=みほん", False), ("name:contains=本は", True), ("name:exact=ハナ", True),
        ("name:exact=はな", True), ("name:exact=ﾊﾅ", False), ("phonetic=みほん", True), ("name=なは", False),
        ("address=前橋", True), ("address-city=前橋市", True), ("address=群馬県前橋市", True),
        ("address-postalcode=371", True), ("phone=0312345678", True), ("phone=０３－１２３４－５６７８", True),
        ("email=hana@example.jp", True), ("phone=hana@example.jp", False), ("telecom=hana@example.jp", True),
        ("identifier=000123", True), ("identifier=urn:oid:1.2.392.100495.20.3.51.11311234567|０００１２３", True),
        ("identifier=123", False), ("birthdate=2019", True), ("gender=female", True), ("deceased=false", True),
    ],
)  # fmt: skip
def test_a_patient_by_name_address_and_number(query: str, found: bool) -> None:
    assert finds(patient(), query) is found


@pytest.mark.parametrize(("deceased", "state"), [({}, "false"), ({"deceasedBoolean": False}, "false"),
                                                 ({"deceasedBoolean": True}, "true"),
                                                 ({"deceasedDateTime": "2026"}, "true")])  # fmt: skip
def test_deceased_is_true_or_false(deceased: dict[str, Any], state: str) -> None:
    assert finds(patient(**deceased), f"deceased={state}")
    assert not finds(patient(**deceased), f"deceased={'true' if state == 'false' else 'false'}")


def test_the_kana_name_of_jp_core() -> None:
    name = {"use": "usual", "text": "ミホン ハナ", "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", "valueCode": "SYL"}]}  # fmt: skip
    assert finds(patient(name=[name]), "jp-kana-sort=みほん")
    assert not finds(patient(name=[name | {"use": "old"}]), "jp-kana-sort=みほん")
    assert not finds(patient(), "jp-kana-sort=みほん")


def test_extensions_are_found_by_url() -> None:
    url = "http://jpfhir.jp/fhir/core/Extension/StructureDefinition/JP_Coverage_InsuredPersonNumber"
    term = terms.exact_term("Coverage", "jp-insured-personnumber", "１２３", KEY)
    coverage = {"resourceType": "Coverage", "extension": [{"url": url, "valueString": "１２３"}]}
    assert term in index_of(coverage, KEY).terms
    other = {"resourceType": "Coverage", "extension": [{"url": "urn:x", "valueString": "１２３"}]}
    assert term not in index_of(other, KEY).terms


def test_the_tags_and_profiles_of_every_type() -> None:
    tagged = observation(meta={"tag": [{"system": "urn:a", "code": "b"}], "profile": ["urn:p"], "source": "urn:s"})
    assert finds(tagged, "_tag=urn:a|b&_profile=urn:p&_source=urn:s")
    assert not finds(observation(), "_tag=urn:a|b")


def test_uris_and_canonicals() -> None:
    made = {"resourceType": "ActivityDefinition", "url": "urn:a:b", "library": ["urn:lib|2"]}
    assert finds(made, "url=urn:a:b")
    assert not finds(made, "url=urn:a")
    assert finds(made, "depends-on=urn:lib")
    assert finds(made, "depends-on=urn:lib|2")
    assert not finds(made, "depends-on=urn:lib|3")


def test_the_key_decides() -> None:
    assert not set(index_of(observation(), KEY).terms) & set(index_of(observation(), KEY[::-1]).terms)


def test_terms_are_signed_64_bit_sorted_and_few() -> None:
    indexed = index_of(observation(), KEY)
    assert indexed.terms == sorted(set(indexed.terms))
    assert all(-(2**63) <= t < 2**63 for t in indexed.terms)
    assert len(indexed.terms) < 40  # 8 bytes each, and an entry of the inverted index


@pytest.mark.parametrize("name", sorted(definitions.concrete_types()))
def test_a_full_example_of_every_type_is_indexed(name: str) -> None:
    indexed = index_of(sample(name, depth=3), KEY)
    assert all(normal(text) == text for _, text in indexed.texts)
    assert all(low < high for param, low, high in indexed.ranges if param != param_ids()["near"])


@given(st.sampled_from(["Observation", "Patient", "Bundle", "Condition", "MedicationRequest", "Goal"]), st.data())
def test_odd_json_is_left_out_and_never_raises(name: str, data: st.DataObject) -> None:
    elements = [e.name.replace("[x]", "DateTime") for e in definitions.fields(name).values()]
    content = data.draw(st.dictionaries(st.sampled_from(elements), JSON, max_size=6))
    index_of({"resourceType": name} | content, KEY)


SYSTEMS = st.none() | st.sampled_from(["urn:a", "urn:b", "a|b", JLAC10, OID_JLAC10])
CODES = st.text("ab|,$\\あ ", min_size=1, max_size=4).filter(str.strip)


@given(SYSTEMS, CODES, SYSTEMS | st.just(""), CODES | st.none())
def test_tokens_by_definition(system: str | None, code: str, asked_system: str | None, asked_code: str | None) -> None:
    """The stored forms meet an asked form exactly when the specification says so."""
    if asked_code is None and not asked_system:
        return
    coding = {"code": code} | ({"system": system} if system else {})
    kept = index_of(observation(code={"coding": [coding]}), KEY).terms
    hit = terms.token_term("Observation", "code", asked_system, asked_code, KEY) in kept
    spelled: dict[str | None, str | None] = {OID_JLAC10: JLAC10, None: ""}
    same_system = asked_system is None or spelled.get(asked_system, asked_system) == spelled.get(system, system)
    assert hit == (same_system and asked_code in (None, code))
