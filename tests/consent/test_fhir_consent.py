"""FHIR Consents read into trees and written back: golden cases, those of IHE PCF, and no loss."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import fhir_consent
from consent.evaluate import Asked, eval_tree
from consent.fhir_consent import ACT_CODE, OWN, PURPOSE, SENSITIVITY, Directory, element, normalise
from consent.fhir_consent_out import consent as written
from consent.rules import JST
from consent.scope import Category, Clause
from phr.records import classes, systems, validate
from tests.consent import strategies as draw
from tests.consent import test_tree_golden as golden
from tests.consent.consents import CASES, DIRECTORY, PCF, base, consent, kind, label, level, purpose, who

HANA = draw.HANA
TOKYO_2022 = {"data_low": datetime(2022, 1, 1, tzinfo=JST), "data_high": datetime(2023, 1, 1, tzinfo=JST)}


def back(root: Clause, directory: Directory = DIRECTORY, **more: Any) -> dict[str, Any]:
    told = {"id": "a", "subject": HANA, "status": "active", "capacity": "self", "given_at": draw.NOW} | more
    return written(root, directory, **told)


def tree(provision: dict[str, Any], **more: Any) -> Clause:
    reading = normalise(consent(provision, **more), DIRECTORY)
    assert (reading.unfit, reading.broken) == ((), ())
    assert reading.root is not None
    return reading.root


@pytest.mark.parametrize("name", CASES)
def test_the_golden_cases_read_as_the_trees_they_are(name: str) -> None:
    expected = getattr(golden, f"case{name}")
    if name in "34":  # dates of a Consent are days in Japan
        expected = (
            replace(expected, **TOKYO_2022) if name == "3"
            else replace(expected, clauses=(replace(expected.clauses[0], **TOKYO_2022),))
        )  # fmt: skip
    assert tree(CASES[name]) == expected


NORMAL, RESTRICTED, PSY, PSY_SDV = golden.seen(), golden.seen(declared=3), golden.PSY, golden.PSY_SDV
SEX = golden.seen("UNCLASSIFIED")
Y2021, UNDATED = golden.seen(time=golden.Y2021), golden.seen(time=(None, None))
PAPER = replace(NORMAL, type="DocumentReference", id="ex-documentreference")
YES, NO, SILENT = True, False, None
ANSWERS: list[tuple[str, str, str, Any, bool | None]] = [
    ("basic-treat", "person:1", "TREAT", NORMAL, YES),
    ("basic-treat", "person:1", "HPAYMT", NORMAL, YES),
    ("basic-treat", "person:1", "HRESCH", NORMAL, SILENT),
    ("basic-treat", "person:1", "TREAT", RESTRICTED, SILENT),
    ("basic-reject", "person:1", "TREAT", NORMAL, NO),
    ("expired-treat", "person:1", "TREAT", NORMAL, SILENT),
    ("intermediate-timeframe", "person:1", "TREAT", NORMAL, YES),
    ("intermediate-timeframe", "person:1", "TREAT", Y2021, SILENT),
    ("intermediate-timeframe", "person:1", "TREAT", UNDATED, SILENT),
    ("intermediate-not-timeframe", "person:1", "TREAT", NORMAL, NO),
    ("intermediate-not-timeframe", "person:1", "TREAT", Y2021, YES),
    ("intermediate-not-timeframe", "person:1", "TREAT", UNDATED, NO),
    ("intermediate-data", "person:1", "TREAT", PAPER, YES),
    ("intermediate-data", "person:1", "TREAT", NORMAL, SILENT),
    ("intermediate-not-data", "person:1", "TREAT", PAPER, NO),
    ("intermediate-not-data", "person:1", "TREAT", NORMAL, YES),
    ("intermediate-purpose", "org:2", "HRESCH", NORMAL, SILENT),  # a purpose nobody here knows narrows it to nothing
    ("intermediate-break-glass", "person:1", "BTG", NORMAL, YES),
    ("intermediate-break-glass", "person:1", "TREAT", NORMAL, NO),
    ("advanced-normal", "person:1", "TREAT", NORMAL, YES),
    ("advanced-normal", "person:1", "TREAT", RESTRICTED, SILENT),
    ("advanced-normal-restricted", "person:1", "TREAT", RESTRICTED, YES),
    ("advanced-normal-restricted", "person:1", "TREAT", PSY, SILENT),  # a label is permitted by its name only
    ("advanced-normal-not-restricted", "person:1", "TREAT", NORMAL, YES),
    ("advanced-normal-not-restricted", "person:1", "TREAT", RESTRICTED, NO),
    ("advanced-normal-focused-psy", "person:1", "TREAT", NORMAL, YES),
    ("advanced-normal-focused-psy", "person:1", "TREAT", PSY, SILENT),  # its practitioner is not registered here
    ("advanced-normal-focused-psy-or-sex", "person:1", "TREAT", PSY, YES),
    ("advanced-normal-focused-psy-or-sex", "person:1", "TREAT", SEX, YES),
    ("advanced-normal-focused-psy-or-sex", "person:1", "TREAT", PSY_SDV, SILENT),
]


@pytest.mark.parametrize(("name", "actor", "asked_for", "facts", "answer"), ANSWERS)
def test_the_consents_of_pcf(name: str, actor: str, asked_for: str, facts: Any, answer: bool | None) -> None:
    asked = Asked(facts, frozenset({actor}), asked_for, "access", draw.NOW)
    assert eval_tree(tree(PCF[name]), asked) is answer


@pytest.mark.parametrize("name", ["intermediate-authoredby", "intermediate-encounter"])
def test_what_pcf_says_of_things_that_are_no_facts_is_unfit(name: str) -> None:
    reading = normalise(consent(PCF[name]), DIRECTORY)
    assert [r.place for r in reading.unfit] == ["Consent.provision.data[0].meaning"]


# -- base polarity, and what breaks ------------------------------------------------------------------


def rule(*codes: str) -> dict[str, Any]:
    return {"policyRule": {"coding": [{"system": ACT_CODE, "code": code} for code in codes]}}


@pytest.mark.parametrize(
    ("more", "permit"),
    [
        ({"provision": {"type": "permit"}}, True),
        ({"provision": {"type": "deny"}} | rule("OPTIN"), False),  # the root's own type comes first
        ({"provision": {}} | rule("OPTIN"), True),
        ({"provision": {}} | rule("OPTOUT"), False),
        (rule("OPTOUT"), False),
        ({"provision": {}}, None),
        ({"provision": {}} | rule("OPTIN", "OPTOUT"), None),
        ({"provision": {}} | rule("OPTINR"), None),
    ],
)
def test_base_polarity(more: dict[str, Any], permit: bool | None) -> None:
    """E-6."""
    told = consent({}) | more
    if "provision" not in more:
        del told["provision"]
    reading = normalise(told, DIRECTORY)
    assert (reading.root.permit if reading.root else None) is permit
    assert bool(reading.unfit) is (permit is None)
    assert reading.denies is (permit is False)


@pytest.mark.parametrize(
    ("provision", "place", "denies"),
    [
        ({"type": "permit", "provision": [{"purpose": purpose("TREAT")}]}, "provision[0].type", False),
        ({"type": "permit", "provision": [{"type": "deny"}, {}]}, "provision[1].type", True),
        ({"type": "maybe", "provision": [{"type": "deny"}]}, "type", True),
        ({"type": "permit", "period": {"start": "2026-02-01", "end": "2026-01-01"}}, "period", False),
        ({"type": "deny", "period": {"start": "soon"}}, "period.start", True),
        ({"type": "deny", "period": {"start": "2026-01-01T00:00:00"}}, "period.start", True),
        ({"type": "permit", "purpose": {"code": "TREAT"}}, "purpose", False),
        ({"type": "permit", "purpose": []}, "purpose", False),
        ({"type": "permit", "actor": ["Organization/1"]}, "actor[0]", False),
        ({"type": "permit", "dataPeriod": {}}, "dataPeriod", False),
    ],
)
def test_what_cannot_be_read_is_broken_by_its_place(provision: dict[str, Any], place: str, denies: bool) -> None:
    reading = normalise(consent(provision), DIRECTORY)
    assert (reading.root, reading.denies) == (None, denies)
    assert reading.broken[0].place == f"Consent.provision.{place}"


def test_nested_without_end() -> None:
    told: dict[str, Any] = {"type": "permit"}
    for _ in range(400):
        told = {"type": "permit", "provision": [told]}
    assert normalise(consent(told), DIRECTORY).broken[0].why.startswith("入れ子が深すぎます")


@pytest.mark.parametrize(
    ("provision", "place"),
    [
        ({"type": "permit", "code": [{"text": "EPDS"}]}, "code"),
        ({"type": "permit", "provision": [{"type": "deny", "code": [{"text": "x"}]}]}, "provision[0].code"),
        ({"type": "permit", "modifierExtension": [{"url": "urn:x"}]}, "modifierExtension[0]"),
        ({"type": "deny", "class": kind("GROWTH") + kind("PSY")}, "class"),
    ],
)
def test_what_a_tree_cannot_say_is_unfit_by_its_place(provision: dict[str, Any], place: str) -> None:
    """E-7."""
    assert normalise(consent(provision), DIRECTORY).unfit[0].place == f"Consent.provision.{place}"


def test_nobody_names_himself_into_the_directory() -> None:
    for name in ("org:1", "class:clinic", "person:1"):
        actor = [{"role": {"text": "x"}, "reference": {"reference": name}}]
        assert tree({"type": "permit", "actor": actor}).actors == frozenset({"?"})


def test_an_ordinary_and_a_level_3_category_ticked_together_are_two_permits() -> None:
    """E-3."""
    root = tree(base(**{"class": kind("GROWTH") + kind("PSY")}, dataPeriod=IN_2022))
    assert root.categories == frozenset({"GROWTH"})
    assert root.clauses == (Clause(permit=True, labels=frozenset({"PSY"}), **TOKYO_2022),)


IN_2022 = {"start": "2022-01-01", "end": "2022-12-31"}


@pytest.mark.parametrize(
    ("end", "instant"),
    [
        ("2026", datetime(2027, 1, 1, tzinfo=JST)),
        ("2026-02", datetime(2026, 3, 1, tzinfo=JST)),
        ("2026-12", datetime(2027, 1, 1, tzinfo=JST)),
        ("2024-02-29", datetime(2024, 3, 1, tzinfo=JST)),
        ("2026-04-01T12:00:00Z", datetime(2026, 4, 1, 12, tzinfo=UTC)),
        ("2026-04-01T12:00:00.5+09:00", datetime(2026, 4, 1, 12, 0, 0, 500000, tzinfo=JST)),
    ],
)
def test_the_end_of_a_period(end: str, instant: datetime) -> None:
    assert tree(base(period={"start": "2020", "end": end})).valid_to == instant


def test_levels_and_labels() -> None:
    permit = tree(base(securityLabel=[level("N"), level("R"), label("PSY"), label("STD")]))
    assert (permit.level, permit.labels) == (3, frozenset({"PSY", "STI"}))
    deny = tree({"type": "deny", "securityLabel": [level("V"), level("R")]})
    assert deny.level == 3
    odd = tree({"type": "deny", "securityLabel": [label("X", "urn:x")]})
    assert odd.labels == frozenset({"urn:x|X"})


def test_sensitivity_is_what_it_is_everywhere() -> None:
    for code, name in SENSITIVITY.items():
        assert classes.of_code(systems.ACT_CODE, code) == Category[name]
    assert (fhir_consent.OWN, fhir_consent.CATEGORY) == (systems.OWN, systems.OWN_CATEGORY)
    assert fhir_consent.INSTITUTION == systems.INSTITUTION_10


def test_places_of_a_tree_are_places_of_a_consent() -> None:
    assert element("root") == "Consent.provision"
    assert element("root.clauses[1].clauses[0].labels") == "Consent.provision.provision[1].provision[0].securityLabel"
    assert element("root.valid_to") == "Consent.provision.period"


# -- there and back ----------------------------------------------------------------------------------


def well_formed(root: Clause) -> bool:
    periods = ((root.valid_from, root.valid_to), (root.data_low, root.data_high))
    fits = all(not (low and high) or low < high for low, high in periods)
    return fits and all(map(well_formed, root.clauses))


@settings(max_examples=800)
@given(draw.clauses(2, unknowns=False).filter(well_formed), st.booleans())
def test_a_tree_goes_out_and_comes_back(root: Clause, ask: bool) -> None:
    """Whatever the authoring profile can say, and more, is said by a Consent without loss; it is sound FHIR."""
    told = json.loads(json.dumps(back(root, ask=ask)))
    reading = normalise(told, DIRECTORY)
    assert (reading.root, reading.ask, reading.unfit, reading.broken) == (root, ask, (), ())
    assert not [p for p in validate.check(told) if p.severity in ("fatal", "error")]


CODINGS = st.sampled_from([
    {"system": PURPOSE, "code": "TREAT"}, {"system": PURPOSE, "code": "HRESCH"}, {"system": "urn:x", "code": "TREAT"},
    {"code": "TREAT"}, {"display": "only"}, {"system": "urn:x"}, *kind("GROWTH"), *kind("PSY"), *kind("???"),
    label("HIV"), label("???"), level("N"), level("R"), level("X"), {"system": "urn:" + "x" * 200, "code": "y"},
])  # fmt: skip
ACTORS = st.sampled_from([
    who(1), who(2), {"role": {}, "reference": {"reference": "Organization/somewhere"}},
    {"role": {}, "reference": {"reference": "Organization/elsewhere"}},
    {"role": {}, "reference": {"reference": "org:1"}}, {"role": {}, "reference": {"display": "somebody"}}, {"role": {}},
    {"role": {}, "reference": {"identifier": {"system": f"{OWN}/CodeSystem/recipient-class", "value": "clinic"}}},
    {"role": {}, "reference": {"identifier": {"system": f"{OWN}/CodeSystem/recipient-class", "value": "bank"}}},
    {"role": {}, "reference": {"identifier": {"value": "x" * 300}}},
    {"role": {}, "reference": {"identifier": {"system": fhir_consent.ORGANIZATION, "value": "1399999999"}}},
    {"role": {}, "reference": {"identifier": {"system": fhir_consent.ORGANIZATION, "value": "0000000000"}}},
])  # fmt: skip
PERIODS = st.sampled_from([
    {"start": "2020"}, {"end": "2030-06"}, {"start": "2020-01-01", "end": "2031-12-31"},
    {"start": "2020-01-01T00:00:00+09:00", "end": "2031-12-31T23:59:59.999Z"},
])  # fmt: skip
DATA = st.sampled_from([
    {"meaning": "instance", "reference": {"reference": "Observation/a"}},
    {"meaning": "instance", "reference": {"reference": "https://example.org/Observation/a"}},
    {"meaning": "instance", "reference": {"display": "that one"}},
])  # fmt: skip


def provisions(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    some = {
        "period": PERIODS, "dataPeriod": PERIODS, "purpose": st.lists(CODINGS, min_size=1, max_size=3),
        "class": st.lists(CODINGS, min_size=1, max_size=2), "securityLabel": st.lists(CODINGS, min_size=1, max_size=3),
        "actor": st.lists(ACTORS, min_size=1, max_size=3), "data": st.lists(DATA, min_size=1, max_size=2),
        "action": st.lists(st.builds(lambda c: {"coding": [c]}, CODINGS), min_size=1, max_size=2),
    }  # fmt: skip
    if depth:
        some["provision"] = st.lists(provisions(depth - 1), min_size=1, max_size=2)
    return st.fixed_dictionaries({"type": st.sampled_from(["permit", "deny"])}, optional=some)


@settings(max_examples=800)
@given(provisions(2))
def test_what_was_read_is_written_and_read_again_as_the_same(provision: dict[str, Any]) -> None:
    before = copy.deepcopy(provision)
    first = normalise(consent(provision), DIRECTORY)
    assert provision == before
    assert (first.broken, first.root is not None) == ((), True)
    again = normalise(back(first.root), DIRECTORY)  # type: ignore[arg-type]
    assert (again.root, again.broken) == (first.root, ())


@settings(max_examples=300)
@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(
        ["type", "provision", "purpose", "actor", "period", "coding", "code", "reference", "start", "policyRule",
         "modifierExtension", "data", "class", "securityLabel", "action"]), inner, max_size=4)), max_leaves=12),
)  # fmt: skip
def test_nothing_that_comes_makes_it_raise(content: Any) -> None:
    told = content if isinstance(content, dict) else {"provision": content}
    reading = normalise(told, DIRECTORY)
    assert reading.root is not None or reading.broken or reading.unfit


def test_a_guardian_is_not_named() -> None:
    """G-05."""
    told = back(Clause(permit=False), capacity="guardian", kept={
        "performer": [{"display": "雪"}], "note": "x", "meta": {"profile": ["urn:x"], "tag": [{"code": "t"}]},
        "identifier": [{"value": "1"}]})  # fmt: skip
    assert told["performer"] == [{"type": "RelatedPerson", "display": "保護者 / a guardian"}]
    assert (told["meta"], told["identifier"], "note" in told) == ({"tag": [{"code": "t"}]}, [{"value": "1"}], False)
    assert told["dateTime"] == draw.NOW.isoformat()
    assert timedelta(0) == draw.NOW.utcoffset()
