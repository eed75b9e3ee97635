"""How a resource of each type says that it was never true: entered-in-error, by its own status (R4). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ERROR: Final = "entered-in-error"
# Types whose `status` (code) has the value.
STATUS: Final = frozenset({
    "Appointment", "AppointmentResponse", "CarePlan", "CareTeam", "ChargeItem", "Claim", "ClaimResponse",
    "ClinicalImpression", "Communication", "CommunicationRequest", "Composition", "Coverage", "DetectedIssue",
    "DeviceRequest", "DeviceUseStatement", "DiagnosticReport", "DocumentManifest", "DocumentReference", "Encounter",
    "EpisodeOfCare", "ExplanationOfBenefit", "FamilyMemberHistory", "Flag", "GuidanceResponse", "ImagingStudy",
    "Immunization", "ImmunizationEvaluation", "List", "Media", "MedicationAdministration", "MedicationDispense",
    "MedicationRequest", "MedicationStatement", "NutritionOrder", "Observation", "Procedure", "QuestionnaireResponse",
    "RequestGroup", "RiskAssessment", "ServiceRequest", "Specimen", "SupplyDelivery", "SupplyRequest", "Task",
    "VisionPrescription",
})  # fmt: skip
# By `verificationStatus`; a clinicalStatus must then be absent (con-5, ait-2).
VERIFICATION: Final = {
    "Condition": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
    "AllergyIntolerance": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
}
# Types that have no such word: what stands alone goes, and every version stays readable by number.
WITHOUT: Final = frozenset({"Binary", "BodyStructure", "RelatedPerson"})


def retired(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """The resource as entered in error; None where its type has no word for that."""
    type = resource["resourceType"]
    if type in STATUS:
        return {**resource, "status": ERROR}
    if type == "Goal":
        return {**resource, "lifecycleStatus": ERROR}
    if type in VERIFICATION:
        said = {"coding": [{"system": VERIFICATION[type], "code": ERROR}]}
        rest = {name: value for name, value in resource.items() if name != "clinicalStatus"}
        return {**rest, "verificationStatus": said}
    return None
