"""What rules may know of a resource: subjects, categories, level, clinical time, marks. Pure.

`facts_of(resource, author=…)` runs at every write. What is not known is UNCLASSIFIED, which is a label of
level 3: a wrong guess must hide, never show. How a resource is classified:

* the type gives a default (Immunization, MedicationDispense …) or asks for a known code (Observation,
  Condition, Procedure, DiagnosticReport …); among several codings one known is enough, because local
  codes stand beside standard ones; every component of an Observation must be known by itself;
* any coding anywhere in the resource that carries a label (HIV, PSY …) adds the label;
* what a person measured at home is HOME, whatever the device wrote beside it;
* `meta.security` R raises the level to 3, V to 4; sensitivity codes add labels.

Sources: design of the trust rules (Facts), FHIR R4 patient compartment, `classes.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from uuid import UUID

from consent.scope import LABELS, LISTS, OPEN_TYPES, Category, Facts, Mark, level_of
from phr.records import classes, systems
from phr.records.definitions import fields, patient_compartment
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
_REFINED = frozenset({"Encounter", "EpisodeOfCare", "Appointment"})  # `type` may add an ordinary category
_MEDICINES = frozenset(t for t, c in DEFAULTS.items() if c == _C.MEDICATION)
_AT_HOME = int(_C.HOME | _C.VITAL | _C.GROWTH | _C.PREGNANCY | _C.CHECKUP)  # what a family can measure itself
_MEASURED = int(_C.HOME | _C.VITAL | _C.GROWTH)
_PLACES = frozenset({"Organization", "Location", "Practitioner", "PractitionerRole", "HealthcareService"})
_PLACED_TYPES = frozenset({"Appointment", "AppointmentResponse", "Schedule", "Slot"})
_PLACED_SYSTEMS = (systems.PATIENT_AT_INSTITUTION, systems.INSTITUTION_10, systems.INSTITUTION_7)
_MARKS = {"minor-confidential": Mark.MINOR_CONFIDENTIAL, "child-protection": Mark.CHILD_PROTECTION}


class Unclassifiable(ValueError):
    """The resource cannot be given Facts, so it cannot be kept."""


class TooManySubjects(Unclassifiable):
    """The resource speaks of more than two persons; each must be asked, and a row has room for two."""


class UnknownSubject(Unclassifiable):
    """The resource points to a Patient whose id cannot be one of ours (ids of persons are UUIDs)."""


def facts_of(resource: Mapping[str, Any], *, author: int | None) -> Facts:
    """The Facts of one sound resource (`validate.check` found nothing). `author`: Organization, None = family.

    Raises Unclassifiable. `terms` stays empty: they come from the index.
    """
    kind = resource["resourceType"]
    seen = _Seen(resource)
    categories = _categories(kind, resource, seen)
    low, high = clinical_time(resource)
    marks = seen.marks | (Mark.LOCATION if kind in _PLACED_TYPES else 0)
    subjects = () if kind in LISTS and author is not None else subjects_of(resource)
    return Facts(
        type=kind, id=resource.get("id", ""), subjects=subjects, categories=categories,
        level=level_of(categories, declared=seen.declared), low=low, high=high, author=author, marks=int(marks),
    )  # fmt: skip


# Subjects


def subjects_of(resource: Mapping[str, Any]) -> tuple[UUID, ...]:
    """The persons a resource speaks of, the main one first: its subject or patient, of a Patient itself.

    Raises TooManySubjects, UnknownSubject.
    """
    kind = resource["resourceType"]
    itself = _uuid(resource.get("id", "")) if kind == "Patient" else None
    found = {itself} if itself else set()
    for key, walk in _subject_walks(kind):
        if key in resource:
            for node in walk(resource[key]):
                if subject := _patient(node):
                    found.add(subject)
    if len(found) > 2:
        raise TooManySubjects(f"一つの資源は二人までです。{kind} speaks of {len(found)} persons; split it")
    main = itself or _patient(resource.get("subject") or resource.get("patient"))
    return tuple(sorted(found, key=lambda subject: (subject != main, subject)))


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


def _categories(kind: str, resource: Mapping[str, Any], seen: _Seen) -> int:
    if kind in OPEN_TYPES:
        return int(Category.ADMINISTRATIVE)
    found = int(DEFAULTS.get(kind, 0)) or _by_code(kind, resource)
    if kind in _REFINED:
        found |= _known(resource.get("type")) & ~LABELS
    if kind in _MEDICINES:
        found |= seen.medicines
    found |= seen.labels
    if kind == "Observation" and found & _MEASURED and not found & ~_AT_HOME and _self_measured(resource):
        return int(Category.HOME)
    return found


def _by_code(kind: str, resource: Mapping[str, Any]) -> int:
    if kind == "QuestionnaireResponse":
        canonical = resource.get("questionnaire")
        return (classes.of_questionnaire(canonical) if isinstance(canonical, str) else 0) or UNCLASSIFIED
    found = _known(resource.get("code")) or UNCLASSIFIED
    for component in _dicts(resource.get("component")):
        found |= _known(component.get("code")) or UNCLASSIFIED
    return found


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
    meta = resource.get("meta")
    for tag in _dicts(meta.get("tag") if isinstance(meta, dict) else None):
        if tag.get("system") == systems.OWN_ORIGIN and tag.get("code") == systems.SELF_MEASURED:
            return True
    performers = [_pointed(p) for p in _dicts(resource.get("performer"))]
    return bool(performers) and all(p in ("Patient", "RelatedPerson") for p in performers)


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


class _Seen:
    """One walk over the whole resource: labels of any coding, names of medicines, places, declared security."""

    __slots__ = ("declared", "labels", "marks", "medicines")

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self.declared, self.labels, self.medicines, self.marks = 0, 0, 0, 0
        medicine = resource["resourceType"] in _MEDICINES
        stack: list[Any] = [resource]
        while stack:
            node = stack.pop()
            if isinstance(node, list):
                stack += [entry for entry in node if isinstance(entry, (dict, list))]
                continue
            self._node(node, medicine)
            stack += [value for value in node.values() if isinstance(value, (dict, list))]

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
        if "address" in node or (isinstance(kind, str) and kind in _PLACES) or _pointed(node) in _PLACES:
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
