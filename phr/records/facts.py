"""What rules may know of a resource: subjects, categories, level, clinical time, marks. Pure.

`facts_of(resource, author=…)` runs at every write. What is not known is UNCLASSIFIED, which is a label of
level 3: a wrong guess must hide, never show. How a resource is classified:

* the type gives a default (Immunization, MedicationDispense …) or asks for a known code (Observation,
  Condition, Procedure, DiagnosticReport …); among several codings one known is enough, because local
  codes stand beside standard ones; every component of an Observation must be known by itself;
* any coding anywhere in the resource that carries a label (HIV, PSY …) adds the label;
* what a person measured at home is HOME, whatever the device wrote beside it;
* what a bill (レセプト) says was diagnosed or done is INSURANCE too: a claim is not a finding;
* `meta.security` R raises the level to 3, V to 4; sensitivity codes add labels;
* what it contains counts: a resource is also of the categories, and about the persons, of its `contained`; and
  whoever it refers to anywhere is a person it is about (decisions/whoever-is-named-is-asked.md);
* parts (itself, each component, each contained resource) of different ordinary categories make it MIXED
  (consent/decisions/categories-of-parts.md).

Sources: design of the trust rules (Facts), FHIR R4 patient compartment, `classes.csv`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, reduce
from operator import or_
from typing import Any
from uuid import UUID

from consent.scope import LABELS, LISTS, OPEN_TYPES, ORDINARY, Category, Facts, Mark, level_of
from phr.records import classes, systems
from phr.records.commons import fault_of, person_in
from phr.records.definitions import concrete_types, fields, patient_compartment
from phr.records.fact_dates import clinical_time
from phr.records.index import Walk, walker
from phr.records.search.params import params_for
from phr.records.search.paths import resolve
from phr.records.search.terms import literal

UNCLASSIFIED = int(Category.UNCLASSIFIED)
_C = Category
# Types whose category does not hang on a code
DEFAULTS: dict[str, int] = {
    "Patient": _C.IDENTITY, "RelatedPerson": _C.IDENTITY, "Person": _C.IDENTITY,
    "AllergyIntolerance": _C.ALLERGY,
    "Immunization": _C.IMMUNIZATION, "ImmunizationEvaluation": _C.IMMUNIZATION,
    "ImmunizationRecommendation": _C.IMMUNIZATION,
    "MedicationRequest": _C.MEDICATION, "MedicationDispense": _C.MEDICATION,
    "MedicationAdministration": _C.MEDICATION, "MedicationStatement": _C.MEDICATION,
    "Encounter": _C.CARE, "Appointment": _C.CARE, "AppointmentResponse": _C.CARE, "CareTeam": _C.CARE,
    "CarePlan": _C.CARE, "EpisodeOfCare": _C.CARE, "NutritionOrder": _C.CARE, "VisionPrescription": _C.CARE,
    "ImagingStudy": _C.IMAGING,
    "FamilyMemberHistory": _C.GDIS, "MolecularSequence": _C.GDIS,
    "Coverage": _C.INSURANCE, "CoverageEligibilityRequest": _C.INSURANCE,
    "CoverageEligibilityResponse": _C.INSURANCE, "EnrollmentRequest": _C.INSURANCE,
    "Consent": _C.ADMINISTRATIVE, "Provenance": _C.ADMINISTRATIVE, "Schedule": _C.ADMINISTRATIVE,
    "Slot": _C.ADMINISTRATIVE,
    "Claim": _C.INSURANCE | _C.UNCLASSIFIED, "ClaimResponse": _C.INSURANCE | _C.UNCLASSIFIED,
    "ExplanationOfBenefit": _C.INSURANCE | _C.UNCLASSIFIED,
}  # fmt: skip
# What a bill says was found or done is what was charged for: it stands apart, as a label that a consent must name
_CLAIMED = frozenset({"Condition", "Procedure", "Observation", "DiagnosticReport"})
_REFINED = frozenset({"Encounter", "EpisodeOfCare", "Appointment"})  # `type` may add an ordinary category
_MEDICINES = frozenset(t for t, c in DEFAULTS.items() if c == _C.MEDICATION)
_AT_HOME = int(_C.HOME | _C.VITAL | _C.GROWTH | _C.PREGNANCY | _C.CHECKUP)  # what a family can measure itself
_MEASURED = int(_C.HOME | _C.VITAL | _C.GROWTH)
_PLACES = frozenset({"Organization", "Location", "Practitioner", "PractitionerRole", "HealthcareService"})
# Who stands in these is a place unless it is known to be a person of the family: by name or identifier alone, too
_WHO = (
    "performer", "serviceProvider", "managingOrganization", "custodian", "facility", "organization", "author",
    "requester", "recorder", "asserter", "dispenser", "location",
)  # fmt: skip
_FAMILY = ("Patient", "RelatedPerson", "Person", "Device")
_PLACED_TYPES = frozenset({"Appointment", "AppointmentResponse", "Schedule", "Slot"})
_PLACED_SYSTEMS = (systems.PATIENT_AT_INSTITUTION, systems.INSTITUTION_10, systems.INSTITUTION_7)
_MARKS = {"minor-confidential": Mark.MINOR_CONFIDENTIAL, "child-protection": Mark.CHILD_PROTECTION}


class Unclassifiable(ValueError):
    """The resource cannot be given Facts, so it cannot be kept. `place`: what is at fault, as FHIRPath, if known."""

    def __init__(self, told: str, *, place: str | None = None) -> None:
        super().__init__(told)
        self.place = place


class TooManySubjects(Unclassifiable):
    """The resource speaks of more than two persons; each must be asked, and a row has room for two."""


class TellsOfSomeone(Unclassifiable):
    """A resource of a type that belongs to nobody, and is open to all, tells of a person."""


class UnknownSubject(Unclassifiable):
    """The resource points to a Patient whose id cannot be one of ours (ids of persons are UUIDs)."""


def facts_of(resource: Mapping[str, Any], *, author: int | None) -> Facts:
    """The Facts of one sound resource (`validate.check` found nothing). `author`: Organization, None = family.

    Raises Unclassifiable. `terms` stays empty: they come from the index.
    """
    kind = resource["resourceType"]
    if kind in OPEN_TYPES and (place := fault_of(resource)):
        told = "この型はだれのものでもなく、だれでも読めます。This type belongs to nobody and is open to all"
        raise TellsOfSomeone(f"{told}; {place} tells of a person, or of what must be hidden", place=place)
    seen = _Seen(resource)
    parts = _parts(kind, resource, seen)
    categories = reduce(or_, parts)
    low, high = clinical_time(resource)
    marks = seen.marks | (Mark.LOCATION if kind in _PLACED_TYPES else 0)
    if len({part & ORDINARY for part in parts} - {0}) > 1:
        marks |= Mark.MIXED
    subjects = () if kind in LISTS and author is not None else subjects_of(resource, named=seen.persons)
    return Facts(
        type=kind, id=resource.get("id", ""), subjects=subjects, categories=categories,
        level=level_of(categories, declared=seen.declared), low=low, high=high, author=author, marks=int(marks),
    )  # fmt: skip


# Subjects


def subjects_of(resource: Mapping[str, Any], *, named: Iterable[UUID]) -> tuple[UUID, ...]:
    """The persons a resource speaks of, the main one first: its subject or patient, of a Patient itself.

    `named`: whoever it refers to anywhere. They do not make a subject of what has none of its own: it must say whom
    it is about. Raises TooManySubjects, UnknownSubject.
    """
    kind = resource["resourceType"]
    itself = _uuid(resource.get("id", "")) if kind == "Patient" else None
    own = _pointed_persons(resource) | ({itself} if itself else set())
    for inner in _dicts(resource.get("contained")):
        _pointed_persons(inner)  # whom they are about stands in `named`; here an id that cannot be is refused
    found = own.union(named) if own else own
    if len(found) > 2:
        raise TooManySubjects(f"一つの資源は二人までです。{kind} speaks of {len(found)} persons; split it")
    main = itself or _patient(resource.get("subject") or resource.get("patient"))
    return tuple(sorted(found, key=lambda subject: (subject != main, subject not in own, subject)))


def _pointed_persons(resource: Mapping[str, Any]) -> set[UUID]:
    """Whom the elements point to that make a Patient a subject of this type."""
    found = set()
    kind = resource.get("resourceType")
    for key, walk in _subject_walks(kind) if isinstance(kind, str) and kind in concrete_types() else ():
        if key in resource:
            for node in walk(resource[key]):
                if subject := _patient(node):
                    found.add(subject)
    return found


def _patient(node: Any) -> UUID | None:
    reference = node.get("reference") if isinstance(node, dict) else None
    parts = literal(reference) if isinstance(reference, str) else None
    if parts is None or parts[0] is not None or parts[1] != "Patient":
        return None
    return _uuid(parts[2])


def _uuid(text: str) -> UUID:
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text:
        told = "人の id は小文字の UUID です。The id of a person is a UUID in lower case"
        raise UnknownSubject(f"Patient/{text[:64]}: {told}")
    return found


@cache
def _subject_walks(kind: str) -> tuple[tuple[str, Walk], ...]:
    """How to reach the references that make a Patient a subject: patient compartment, and plain subject elements."""
    steps = {
        leaf.steps
        for name in patient_compartment().get(kind, ())
        for leaf in resolve(kind, params_for(kind)[name].expression)
        if leaf.type == "Reference"
    }
    walks = [(path[0].key, walker(path)) for path in sorted(steps, key=str)]
    plain = {"subject", "patient", "individual", "securityContext", "focus"} & set(fields(kind))
    return (*walks, *((name, walker(None)) for name in sorted(plain) if name not in {key for key, _ in walks}))


# Categories


def _parts(kind: str, resource: Mapping[str, Any], seen: _Seen) -> list[int]:
    """The categories of each part: of what the resource says itself, of each component, of each contained resource.

    Ordinary categories of one part are views of the same thing (a birth weight is BIRTH and GROWTH).
    """
    return [*_own_parts(kind, resource, seen), *_contained_parts(resource)]


def _own_parts(kind: str, resource: Mapping[str, Any], seen: _Seen) -> list[int]:
    if kind in OPEN_TYPES:
        return [int(Category.ADMINISTRATIVE)]
    first, *others = [default] if (default := int(DEFAULTS.get(kind, 0))) else _by_code(kind, resource)
    if kind in _REFINED:
        first |= _known(resource.get("type")) & ~LABELS
    if kind in _MEDICINES:
        first |= seen.medicines
    if kind in _CLAIMED and _origin(resource, systems.CLAIM):
        first |= int(Category.INSURANCE)
    found = reduce(or_, others, first | seen.labels)
    if kind == "Observation" and found & _MEASURED and not found & ~_AT_HOME and _self_measured(resource):
        return [int(Category.HOME)]
    return [first | seen.labels, *others]


def _contained_parts(resource: Mapping[str, Any]) -> Iterator[int]:
    """What the contained resources are, each by its own type: the resource around them is that too."""
    for inner in _dicts(resource.get("contained")):
        kind = inner.get("resourceType")
        if not isinstance(kind, str):
            continue
        seen = _Seen(inner)
        if kind in OPEN_TYPES:
            yield seen.medicines
        else:
            yield from _own_parts(kind, inner, seen)


def _by_code(kind: str, resource: Mapping[str, Any]) -> list[int]:
    """By what its code says, and by what each component's says."""
    if kind == "QuestionnaireResponse":
        canonical = resource.get("questionnaire")
        return [(classes.of_questionnaire(canonical) if isinstance(canonical, str) else 0) or UNCLASSIFIED]
    codes = [resource.get("code"), *(component.get("code") for component in _dicts(resource.get("component")))]
    return [_known(code) or UNCLASSIFIED for code in codes]


def _known(concept: Any) -> int:
    """The union of the categories of the codings that are known; 0 = none is."""
    mask = 0
    for entry in _dicts(concept):
        for coding in _dicts(entry.get("coding")):
            system, code = coding.get("system"), coding.get("code")
            if isinstance(system, str) and isinstance(code, str):
                mask |= classes.of_code(system, code)
    return mask


def _self_measured(resource: Mapping[str, Any]) -> bool:
    """By a tag of ours, or because every performer is the person or a relative."""
    if _origin(resource, systems.SELF_MEASURED):
        return True
    performers = [_pointed(p) for p in _dicts(resource.get("performer"))]
    return bool(performers) and all(p in ("Patient", "RelatedPerson") for p in performers)


def _origin(resource: Mapping[str, Any], code: str) -> bool:
    """Whether a tag of ours says that the data came to be in this way."""
    meta = resource.get("meta")
    tags = _dicts(meta.get("tag") if isinstance(meta, dict) else None)
    return any(tag.get("system") == systems.OWN_ORIGIN and tag.get("code") == code for tag in tags)


def _pointed(reference: Mapping[str, Any]) -> str | None:
    """The type a Reference points to."""
    text = reference.get("reference")
    parts = literal(text) if isinstance(text, str) else None
    kind = parts[1] if parts else reference.get("type")
    return kind if isinstance(kind, str) else None


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        for entry in value:
            if isinstance(entry, dict):
                yield entry


def _names_a_place(node: Mapping[str, Any]) -> bool:
    """Where it came from, who gave an identifier, or somebody who is not known to be of the family."""
    if "assigner" in node or ("source" in node and isinstance(node["source"], str)):
        return True
    for name in _WHO:
        if name in node:
            for who in _dicts(node[name]):
                inner = who.get("actor", who)
                if isinstance(inner, dict) and _pointed(inner) not in _FAMILY:
                    return True
    return False


class _Seen:
    """One walk over the whole resource: labels of any coding, medicines, places, persons, declared security."""

    __slots__ = ("declared", "labels", "marks", "medicines", "persons")

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self.declared, self.labels, self.medicines, self.marks = 0, 0, 0, 0
        self.persons: set[UUID] = set()
        medicine = resource["resourceType"] in _MEDICINES or resource["resourceType"] == "Medication"
        stack: list[Any] = [resource]
        while stack:
            node = stack.pop()
            if isinstance(node, list):
                inner: Iterable[Any] = node
            else:
                self._node(node, medicine)
                inner = node.values()
            for value in inner:
                if isinstance(value, (dict, list)):
                    stack.append(value)
                elif isinstance(value, str) and value.startswith("Patient/") and (person := person_in(value)):
                    self.persons.add(person)

    def _node(self, node: dict[str, Any], medicine: bool) -> None:
        system, code = node.get("system"), node.get("code")
        if isinstance(system, str):
            if isinstance(code, str):
                self.labels |= classes.of_code(system, code) & LABELS & ~UNCLASSIFIED
            if system.startswith(_PLACED_SYSTEMS):
                self.marks |= Mark.LOCATION
        kind = node.get("resourceType")
        if kind is not None and isinstance(meta := node.get("meta"), dict):
            for label in _dicts(meta.get("security")):  # of the resource, or of one inside a Bundle
                self._security(label)
        typed = (isinstance(kind, str) and kind in _PLACES) or _pointed(node) in _PLACES
        if "address" in node or typed or _names_a_place(node):
            self.marks |= Mark.LOCATION
        if medicine:
            for key in ("text", "display"):
                if isinstance(text := node.get(key), str):
                    self.medicines |= classes.of_medicine(text)

    def _security(self, label: Mapping[str, Any]) -> None:
        system, code = label.get("system"), label.get("code")
        if system == systems.CONFIDENTIALITY and code in ("R", "V"):
            self.declared = max(self.declared, 3 if code == "R" else 4)
        elif system == systems.ACT_CODE and isinstance(code, str):
            self.labels |= classes.of_code(system, code)  # here UNCLASSIFIED counts too
        elif system == systems.OWN_MARK and isinstance(code, str):
            self.marks |= _MARKS.get(code, Mark(0))
