"""When what a resource tells happened: its clinical time. Pure.

Per type the elements that say so, in order; the first that is there counts. A partial date is its whole
span, a date without zone is Japan time, an open period reaches to the year 9999 (or from the year 1).
Source: FHIR R4, the element each type's `date` search parameter reads, and the trust rules (clinical time
stands for Consent.dataPeriod; no date = unknown).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from phr.records.index_spans import span_of
from phr.records.search.ranges import FOREVER, Range, moment

_KINDS = (("", "dateTime"), ("DateTime", "dateTime"), ("Period", "Period"), ("Date", "date"), ("Instant", "instant"),
          ("Timing", "Timing"))  # fmt: skip
# type -> elements, the most telling first; "a.b" = b inside a; "[x]" choices by their stem
ELEMENTS: dict[str, tuple[str, ...]] = {
    "AllergyIntolerance": ("onset", "recordedDate", "lastOccurrence"),
    "Appointment": ("start",), "AppointmentResponse": ("start",), "AdverseEvent": ("date", "recordedDate"),
    "CarePlan": ("period", "created"), "CareTeam": ("period",), "ChargeItem": ("occurrence", "enteredDate"),
    "Claim": ("billablePeriod", "created"), "ClinicalImpression": ("effective", "date"),
    "Communication": ("sent", "received"), "CommunicationRequest": ("occurrence", "authoredOn"),
    "Composition": ("date",), "Consent": ("dateTime",), "Coverage": ("period",), "DetectedIssue": ("identified",),
    "DeviceUseStatement": ("timing", "recordedOn"), "DiagnosticReport": ("effective", "issued"),
    "DocumentReference": ("context.period", "date"), "Encounter": ("period",), "EpisodeOfCare": ("period",),
    "ExplanationOfBenefit": ("billablePeriod", "created"), "FamilyMemberHistory": ("date",), "Flag": ("period",),
    "Goal": ("start", "statusDate"), "ImagingStudy": ("started",), "Immunization": ("occurrence", "recorded"),
    "ImmunizationEvaluation": ("date",), "ImmunizationRecommendation": ("date",), "List": ("date",),
    "Media": ("created", "issued"), "MedicationAdministration": ("effective",),
    "MedicationDispense": ("whenHandedOver", "whenPrepared"), "MedicationRequest": ("authoredOn",),
    "MedicationStatement": ("effective", "dateAsserted"), "NutritionOrder": ("dateTime",),
    "Observation": ("effective", "issued"), "Procedure": ("performed",), "Provenance": ("occurred", "recorded"),
    "QuestionnaireResponse": ("authored",), "RiskAssessment": ("occurrence",),
    "ServiceRequest": ("occurrence", "authoredOn"), "Specimen": ("collection.collected", "receivedTime"),
    "Task": ("executionPeriod", "authoredOn"), "VisionPrescription": ("dateWritten", "created"),
}  # fmt: skip


def clinical_time(resource: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """Half-open (low, high) in UTC; (None, None) = unknown."""
    found = _condition(resource) if resource["resourceType"] == "Condition" else _first(resource)
    return (moment(found[0]), moment(found[1])) if found else (None, None)


def _first(resource: Mapping[str, Any]) -> Range | None:
    for path in ELEMENTS.get(resource["resourceType"], ()):
        outer, _, inner = path.rpartition(".")
        node = resource.get(outer) if outer else resource
        if isinstance(node, Mapping) and (found := _at(node, inner)):
            return found
    return None


def _at(node: Mapping[str, Any], stem: str) -> Range | None:
    """The span of an element, whatever type it has."""
    for suffix, kind in _KINDS:
        value = node.get(stem + suffix)
        if value is not None:
            return span_of(value, "Period" if isinstance(value, dict) and kind == "dateTime" else kind)
    return None


def _condition(resource: Mapping[str, Any]) -> Range | None:
    """From onset to abatement; without abatement it goes on. Recorded only: the day of recording."""
    onset, abatement = _at(resource, "onset"), _at(resource, "abatement")
    if onset is None:
        return abatement or _at(resource, "recordedDate")
    return onset[0], abatement[1] if abatement else FOREVER
