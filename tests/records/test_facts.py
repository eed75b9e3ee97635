"""What rules may know of a resource. A wrong guess must hide, never show."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.scope import LABELS, Category, Mark
from phr.records import classes, definitions, facts, systems
from phr.records.facts import TooManySubjects, UnknownSubject, facts_of
from phr.records.search.ranges import JAPAN
from tests.records.samples import HANA, YUKI, observation, patient, sample
from tests.records.test_validate import JSON

C = Category
REN = "0d9c8b7a-6f5e-4d3c-8b2a-190817263544"
PATIENT = {"reference": f"Patient/{HANA}"}
ICD10 = "http://hl7.org/fhir/sid/icd-10"


def of(resource: dict[str, Any]) -> facts.Facts:
    return facts_of(resource, author=7)


def coded(system: str, *codes: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for code in codes]}


def categories(resource: dict[str, Any]) -> Category:
    return Category(of(resource).categories)


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (systems.LOINC, "29463-7", C.GROWTH), (systems.LOINC, "85354-9", C.VITAL),
        (systems.LOINC, "718-7", C.LABORATORY), (systems.LOINC, "71354-5", C.PSY),
        (systems.LOINC, "56888-1", C.LABORATORY | C.HIV), (systems.LOINC, "20507-0", C.LABORATORY | C.STI),
        (systems.LOINC, "5196-1", C.LABORATORY | C.INFECTION), (systems.LOINC, "11996-6", C.PREGNANCY | C.LOSS),
        (systems.LOINC, "9272-6", C.BIRTH), (systems.LOINC, "54109-4", C.NEWBORN),
        (systems.JLAC10, "2A030000001930901", C.LABORATORY),
        (systems.JLAC10, "5F560155002399851", C.LABORATORY | C.HIV),
        ("urn:oid:1.2.392.200119.4.504", "5F360152102399811", C.LABORATORY | C.INFECTION),
        (systems.BODY_MEASUREMENT, "31000296", C.GROWTH),
        (systems.OWN_ITEM, "lifestyle.smoke", C.SUD), (systems.OWN_ITEM, "q.abuse", C.SDV),
        (systems.OWN_ITEM, "q.care", C.FAMILY), (systems.OWN_ITEM, "org.skin", C.CHECKUP),
        (systems.OWN_ITEM, "s.va.r", C.SCHOOL), (systems.OWN_ITEM, "loss", C.LOSS),
        (systems.LOINC, "0-0", C.UNCLASSIFIED), ("urn:somewhere", "29463-7", C.UNCLASSIFIED),
        (systems.JLAC10, "5F999000000000000", C.UNCLASSIFIED), (systems.OWN_ITEM, "unheard.of", C.UNCLASSIFIED),
    ],
)  # fmt: skip
def test_observations_by_code(system: str, code: str, expected: Category) -> None:
    assert categories(observation(code=coded(system, code))) == expected


def test_local_codes_beside_a_known_one_are_fine_but_text_alone_is_not() -> None:
    both = {"coding": [{"system": "urn:clinic", "code": "W1"}, {"system": systems.LOINC, "code": "29463-7"}]}
    assert categories(observation(code=both)) == C.GROWTH
    assert categories(observation(code={"text": "体重"})) == C.UNCLASSIFIED


def test_every_component_must_be_known() -> None:
    panel = observation(code=coded(systems.LOINC, "85354-9"), component=[{"code": coded(systems.LOINC, "8480-6")}])
    assert categories(panel) == C.VITAL
    panel["component"].append({"code": coded("urn:x", "?")})
    assert categories(panel) == C.VITAL | C.UNCLASSIFIED
    panel["component"][1] = {"code": coded(systems.LOINC, "56888-1")}
    assert categories(panel) & C.HIV


def test_parts_of_different_categories_make_it_mixed_views_of_one_thing_do_not() -> None:
    panel = observation(code=coded(systems.LOINC, "85354-9"), component=[{"code": coded(systems.LOINC, "8480-6")}])
    assert not of(panel).marks & Mark.MIXED
    panel["component"].append({"code": coded(systems.LOINC, "29463-7")})
    assert of(panel).marks & Mark.MIXED
    assert categories(panel) == C.VITAL | C.GROWTH
    birth_weight = of(observation(code=coded(systems.LOINC, "8339-4")))
    assert birth_weight.categories == C.BIRTH | C.GROWTH
    assert not birth_weight.marks & Mark.MIXED
    inside = {"resourceType": "AllergyIntolerance", "id": "a", "patient": panel["subject"]}
    assert of(observation(code=coded(systems.LOINC, "8480-6"), contained=[inside])).marks & Mark.MIXED


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("J45", C.PROBLEM), ("J45.9", C.PROBLEM), ("F32.1", C.PROBLEM | C.PSY), ("F102", C.PROBLEM | C.PSY | C.SUD),
        ("B20", C.PROBLEM | C.HIV), ("Z21", C.PROBLEM | C.HIV), ("A51", C.PROBLEM | C.STI),
        ("O03", C.LOSS), ("O08.9", C.LOSS), ("O20.0", C.PREGNANCY), ("O09", C.PREGNANCY), ("Z33.2", C.LOSS),
        ("Z371", C.LOSS), ("Z370", C.BIRTH), ("B18.1", C.PROBLEM | C.INFECTION), ("Q90", C.PROBLEM | C.GDIS),
        ("T74.1", C.PROBLEM | C.SDV), ("Y07", C.PROBLEM | C.SDV), ("Z59", C.PROBLEM | C.FAMILY),
        ("nonsense", C.UNCLASSIFIED), ("", C.UNCLASSIFIED), ("F", C.UNCLASSIFIED), ("É20", C.UNCLASSIFIED),
    ],
)  # fmt: skip
def test_conditions_by_icd10(code: str, expected: Category) -> None:
    for system in (ICD10, systems.ICD10_JP):
        got = categories({"resourceType": "Condition", "code": coded(system, code), "subject": PATIENT})
        assert got & expected == expected
        assert got & LABELS == expected & LABELS


def test_medicines_are_ordinary_unless_they_tell_a_label() -> None:
    def dispensed(concept: dict[str, Any]) -> Category:
        return categories({"resourceType": "MedicationDispense", "medicationCodeableConcept": concept})

    assert dispensed({"text": "見本アセトアミノフェン錠200mg"}) == C.MEDICATION
    assert dispensed(coded(systems.YJ, "1141001X1015")) == C.MEDICATION
    assert dispensed(coded(systems.YJ, "1179044F1029")) == C.MEDICATION | C.PSY
    assert dispensed({"text": "ﾋﾞｸﾀﾙﾋﾞ配合錠"}) == C.MEDICATION | C.HIV
    named = {"system": systems.HOT9, "code": "1", "display": "バラクルード錠0.5mg"}
    assert dispensed({"coding": [named]}) & C.INFECTION


def test_a_label_anywhere_in_the_resource_counts() -> None:
    request = {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": "見本"}, "subject": PATIENT}
    assert categories(request | {"reasonCode": [coded(ICD10, "F32.1")]}) == C.MEDICATION | C.PSY
    visit = {"resourceType": "Encounter", "reasonCode": [coded(ICD10, "B20")]}
    assert categories(visit) == C.CARE | C.HIV
    assert categories({"resourceType": "Encounter", "type": [coded(f"{systems.OWN}/CodeSystem/visit-kind", "y3")]}) == (
        C.CARE | C.CHECKUP
    )
    inside = {"resourceType": "Immunization", "contained": [{"resourceType": "Condition", "code": coded(ICD10, "O03")}]}
    assert categories(inside) == C.IMMUNIZATION | C.PROBLEM | C.PREGNANCY | C.LOSS  # all of the contained


@pytest.mark.parametrize(
    ("type", "expected"),
    [("Patient", C.IDENTITY), ("AllergyIntolerance", C.ALLERGY), ("Immunization", C.IMMUNIZATION),
     ("MedicationStatement", C.MEDICATION), ("Appointment", C.CARE), ("Coverage", C.INSURANCE),
     ("FamilyMemberHistory", C.GDIS), ("Organization", C.ADMINISTRATIVE), ("Communication", C.UNCLASSIFIED),
     ("DocumentReference", C.UNCLASSIFIED), ("Binary", C.UNCLASSIFIED), ("Composition", C.UNCLASSIFIED),
     ("QuestionnaireResponse", C.UNCLASSIFIED), ("Procedure", C.UNCLASSIFIED), ("Flag", C.UNCLASSIFIED)],
)  # fmt: skip
def test_categories_by_type(type: str, expected: Category) -> None:
    resource = {"resourceType": type} | ({"id": HANA} if type == "Patient" else {})
    assert categories(resource) == expected


def test_questionnaires_of_our_own() -> None:
    answers = {"resourceType": "QuestionnaireResponse", "questionnaire": f"{systems.OWN}/Questionnaire/epds|1"}
    assert categories(answers) == C.PSY
    assert categories(answers | {"questionnaire": "https://elsewhere.example/Questionnaire/epds"}) == C.UNCLASSIFIED


def test_what_a_family_measures_itself_is_home() -> None:
    mother = {"performer": [{"reference": f"Patient/{HANA}"}]}
    assert categories(observation(**mother)) == C.HOME
    assert of(observation(**mother)).level == 1
    tagged = {"tag": [{"system": systems.OWN_ORIGIN, "code": systems.SELF_MEASURED}]}
    assert categories(observation(meta=tagged)) == C.HOME
    assert categories(observation(performer=[{"type": "RelatedPerson", "display": "保護者"}])) == C.HOME
    mixed = {"performer": [{"reference": f"Patient/{HANA}"}, {"reference": "Organization/1"}]}
    assert categories(observation(**mixed)) == C.GROWTH
    test_at_home = observation(code=coded(systems.LOINC, "56888-1"), meta=tagged)
    assert categories(test_at_home) == C.LABORATORY | C.HIV
    assert categories(observation(code={"text": "気分"}, meta=tagged)) == C.UNCLASSIFIED
    assert categories(observation(meta=tagged, note=[{"text": "x"}], valueCodeableConcept=coded(ICD10, "F32"))) & C.PSY


@pytest.mark.parametrize(("code", "level"), [("N", 2), ("R", 3), ("V", 4), ("U", 2), (None, 2)])
def test_declared_confidentiality_only_raises_the_level(code: str | None, level: int) -> None:
    security = [{"system": systems.CONFIDENTIALITY, "code": code}] if code else []
    assert of(observation(meta={"security": security})).level == level


def test_declared_sensitivity_adds_a_label() -> None:
    security = [{"system": systems.ACT_CODE, "code": "HIV"}]
    assert categories(observation(meta={"security": security})) == C.GROWTH | C.HIV
    assert categories(observation(meta={"security": [{"system": systems.ACT_CODE, "code": "SEX"}]})) & C.UNCLASSIFIED


# Subjects


def test_subjects_by_the_patient_compartment() -> None:
    assert of(observation()).subjects == (UUID(HANA),)
    assert of(patient()).subjects == (UUID(HANA),)
    assert of({"resourceType": "RelatedPerson", "patient": PATIENT}).subjects == (UUID(HANA),)
    assert of({"resourceType": "Binary", "securityContext": PATIENT}).subjects == (UUID(HANA),)
    assert of({"resourceType": "Device", "patient": PATIENT}).subjects == (UUID(HANA),)
    assert of(observation(focus=[{"reference": f"Patient/{REN}"}])).subjects == (UUID(HANA), UUID(REN))  # is about him
    assert of({"resourceType": "Organization"}).subjects == ()


def test_mother_and_child_are_two_subjects_and_three_are_refused() -> None:
    message = {"resourceType": "Communication", "subject": PATIENT, "sender": {"reference": f"Patient/{YUKI}"}}
    assert set(of(message).subjects) == {UUID(HANA), UUID(YUKI)}
    turned = of(message | {"subject": message["sender"], "sender": PATIENT}).subjects
    assert set(of(message).subjects) == set(turned)
    assert of(message).subjects[0] != turned[0]  # the one it is about stands first
    with pytest.raises(TooManySubjects):
        of(message | {"recipient": [{"reference": f"Patient/{REN}"}]})
    assert len(of(observation(performer=[PATIENT])).subjects) == 1


@pytest.mark.parametrize("id", ["1", "mother", HANA.upper(), HANA.replace("-", ""), f"{HANA}x"])
def test_the_id_of_a_person_is_a_uuid(id: str) -> None:
    with pytest.raises(UnknownSubject):
        of(observation(subject={"reference": f"Patient/{id}"}))
    with pytest.raises(UnknownSubject):
        of(patient(id=id))


def test_people_of_other_servers_are_not_ours() -> None:
    assert of(observation(subject={"reference": f"https://elsewhere.example/fhir/Patient/{HANA}"})).subjects == ()


# Time and place


@pytest.mark.parametrize(
    ("resource", "low", "high"),
    [
        (observation(), datetime(2026, 4, 1, 10, tzinfo=JAPAN), datetime(2026, 4, 1, 10, 0, 1, tzinfo=JAPAN)),
        (observation(effectiveDateTime="2025"), datetime(2025, 1, 1, tzinfo=JAPAN), datetime(2026, 1, 1, tzinfo=JAPAN)),
        (observation(effectiveDateTime=None, issued="2026-04-01T00:00:00Z"),
         datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 1, 0, 0, 1, tzinfo=UTC)),
        (observation(effectiveDateTime=None), None, None),
        ({"resourceType": "Encounter", "period": {"start": "2026-04-01"}},
         datetime(2026, 4, 1, tzinfo=JAPAN), datetime(9999, 1, 1, tzinfo=UTC)),
        ({"resourceType": "Immunization", "occurrenceDateTime": "2026-04"},
         datetime(2026, 4, 1, tzinfo=JAPAN), datetime(2026, 5, 1, tzinfo=JAPAN)),
        ({"resourceType": "Condition", "onsetDateTime": "2025", "abatementDateTime": "2026-01-31"},
         datetime(2025, 1, 1, tzinfo=JAPAN), datetime(2026, 2, 1, tzinfo=JAPAN)),
        ({"resourceType": "Condition", "onsetDateTime": "2025"},
         datetime(2025, 1, 1, tzinfo=JAPAN), datetime(9999, 1, 1, tzinfo=UTC)),
        ({"resourceType": "Specimen", "collection": {"collectedDateTime": "2026-04-01"}},
         datetime(2026, 4, 1, tzinfo=JAPAN), datetime(2026, 4, 2, tzinfo=JAPAN)),
        (patient(), None, None),
    ],
)  # fmt: skip
def test_clinical_time(resource: dict[str, Any], low: datetime | None, high: datetime | None) -> None:
    found = of(resource)
    assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize(
    ("resource", "marked"),
    [
        (observation(), True), (observation(performer=None), False), (observation(performer=[PATIENT]), False),
        (patient(), True), (patient(address=None), True), (patient(address=None, identifier=None), False),
        ({"resourceType": "Appointment"}, True), ({"resourceType": "Encounter"}, False),
        ({"resourceType": "Encounter", "location": [{"location": {"reference": "Location/1"}}]}, True),
        ({"resourceType": "MedicationDispense",
          "performer": [{"actor": {"type": "Organization", "display": "見本薬局"}}]}, True),
        ({"resourceType": "Immunization", "contained": [{"resourceType": "Organization", "id": "o"}]}, True),
    ],
)  # fmt: skip
@pytest.mark.G("08")
def test_what_tells_a_place_bears_the_mark(resource: dict[str, Any], marked: bool) -> None:
    assert bool(of(resource).marks & Mark.LOCATION) is marked


def test_protective_marks_come_from_our_own_security_labels() -> None:
    security = [{"system": systems.OWN_MARK, "code": "minor-confidential"}]
    assert of(observation(performer=None, meta={"security": security})).marks == Mark.MINOR_CONFIDENTIAL
    security = [{"system": "urn:x", "code": "minor-confidential"}]
    assert of(observation(performer=None, meta={"security": security})).marks == 0


# Properties


@pytest.mark.parametrize("name", sorted(definitions.concrete_types()))
def test_a_full_example_of_every_type_has_facts(name: str) -> None:
    resource = sample(name, depth=2) | {"id": HANA}
    for reference in ("Patient/1",):  # the maker's people have no UUIDs
        resource = _replaced(resource, reference, f"Patient/{HANA}")
    found = facts_of(resource, author=None)
    assert found.categories
    assert len(found.subjects) <= 2
    assert found.low is None or found.high is None or found.low < found.high


def _replaced(node: Any, old: str, new: str) -> Any:
    if isinstance(node, dict):
        return {key: _replaced(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(entry, old, new) for entry in node]
    return new if node == old else node


KNOWN = st.sampled_from([(systems.LOINC, c) for c in ("29463-7", "56888-1", "71354-5", "85354-9", "11996-6", "718-7")]
                        + [(ICD10, c) for c in ("F32", "J45", "B20", "O03")]
                        + [(systems.OWN_ITEM, "q.abuse")])  # fmt: skip


@given(st.lists(KNOWN, min_size=1, max_size=3), st.lists(KNOWN, max_size=3), KNOWN | st.none(), st.data())
def test_an_unknown_code_in_place_of_a_sole_known_one_never_loses_the_label(
    main: list[tuple[str, str]], parts: list[tuple[str, str]], value: tuple[str, str] | None, data: st.DataObject
) -> None:
    """Replacing the code of an Observation, or of a component, by an unknown one gives a label (M-4)."""
    made = observation(
        code={"coding": [{"system": s, "code": c} for s, c in main]},
        component=[{"code": coded(*pair)} for pair in parts],
        valueCodeableConcept=coded(*value) if value else None,
    )
    assert categories(made)
    which = data.draw(st.integers(0, len(parts)))
    damaged = coded("urn:unknown", "?")
    components = [damaged_or(part, n + 1 == which, damaged) for n, part in enumerate(made["component"])]
    changed = made | ({"code": damaged} if which == 0 else {"component": components})
    assert categories(changed) & LABELS


def damaged_or(part: dict[str, Any], here: bool, damaged: dict[str, Any]) -> dict[str, Any]:
    return {"code": damaged} if here else part


@given(st.sampled_from(sorted(definitions.concrete_types())), st.data())
def test_odd_json_never_raises_anything_but_unclassifiable(name: str, data: st.DataObject) -> None:
    elements = [e.name.replace("[x]", "DateTime") for e in definitions.fields(name).values()]
    content = data.draw(st.dictionaries(st.sampled_from(elements), JSON, max_size=6))
    try:
        found = facts_of(content | {"resourceType": name, "id": HANA}, author=None)
    except facts.Unclassifiable:
        return
    assert found.categories


def test_the_table_is_sound() -> None:
    with Path(classes.__file__).with_name("classes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {name for row in rows for name in row["categories"].split()} <= {c.name for c in Category}
    assert {row["system"] for row in rows} == set(classes.SYSTEMS.values()) | {"drug-name", "questionnaire"}
    keys = [(row["system"], row["code"]) for row in rows if row["system"] != "icd10"]
    assert len(set(keys)) == len(keys)


def test_time_of_facts_is_aware() -> None:
    low = of(observation()).low
    assert low is not None
    assert low.utcoffset() == timedelta(0)


def test_a_list_that_an_organisation_keeps_is_about_no_one_person() -> None:
    members = [{"entity": {"reference": f"Patient/{id}"}} for id in (HANA, YUKI, REN)]
    group = {"resourceType": "Group", "type": "person", "actual": True, "member": members}
    assert facts_of(group, author=1).subjects == ()
    with pytest.raises(TooManySubjects):
        facts_of(group, author=None)
    assert facts_of(group | {"member": members[:1]}, author=None).subjects == (UUID(HANA),)
