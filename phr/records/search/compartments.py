"""Compartments: what belongs to one person's record by its references (FHIR R4 compartmentdefinition.html). Pure.

Only the Patient compartment is answered. The table is HL7's CompartmentDefinition/patient of R4 (4.0.1), CC0.
"""

from __future__ import annotations

from phr.records.search.params import SearchParam, params_for

# type -> the reference parameters of which any may name the Patient
PATIENT: dict[str, tuple[str, ...]] = {
    "Patient": ("link",),
    "Account": ("subject",), "AdverseEvent": ("subject",), "AllergyIntolerance": ("patient", "recorder", "asserter"),
    "Appointment": ("actor",), "AppointmentResponse": ("actor",), "AuditEvent": ("patient",),
    "Basic": ("patient", "author"), "BodyStructure": ("patient",), "CarePlan": ("patient", "performer"),
    "CareTeam": ("patient", "participant"), "ChargeItem": ("subject",), "Claim": ("patient", "payee"),
    "ClaimResponse": ("patient",), "ClinicalImpression": ("subject",),
    "Communication": ("subject", "sender", "recipient"),
    "CommunicationRequest": ("subject", "sender", "recipient", "requester"),
    "Composition": ("subject", "author", "attester"), "Condition": ("patient", "asserter"), "Consent": ("patient",),
    "Coverage": ("policy-holder", "subscriber", "beneficiary", "payor"), "CoverageEligibilityRequest": ("patient",),
    "CoverageEligibilityResponse": ("patient",), "DetectedIssue": ("patient",),
    "DeviceRequest": ("subject", "performer"), "DeviceUseStatement": ("subject",), "DiagnosticReport": ("subject",),
    "DocumentManifest": ("subject", "author", "recipient"), "DocumentReference": ("subject", "author"),
    "Encounter": ("subject",), "EnrollmentRequest": ("subject",), "EpisodeOfCare": ("patient",),
    "ExplanationOfBenefit": ("patient", "payee"), "FamilyMemberHistory": ("patient",), "Flag": ("patient",),
    "Goal": ("patient",), "Group": ("member",), "ImagingStudy": ("patient",), "Immunization": ("patient",),
    "ImmunizationEvaluation": ("patient",), "ImmunizationRecommendation": ("patient",),
    "Invoice": ("subject", "patient", "recipient"), "List": ("subject", "source"), "MeasureReport": ("patient",),
    "Media": ("subject",), "MedicationAdministration": ("patient", "performer", "subject"),
    "MedicationDispense": ("subject", "patient", "receiver"), "MedicationRequest": ("subject",),
    "MedicationStatement": ("subject",), "MolecularSequence": ("patient",), "NutritionOrder": ("patient",),
    "Observation": ("subject", "performer"), "Person": ("patient",), "Procedure": ("patient", "performer"),
    "Provenance": ("patient",), "QuestionnaireResponse": ("subject", "author"), "RelatedPerson": ("patient",),
    "RequestGroup": ("subject", "participant"), "ResearchSubject": ("individual",), "RiskAssessment": ("subject",),
    "Schedule": ("actor",), "ServiceRequest": ("subject", "performer"), "Specimen": ("subject",),
    "SupplyDelivery": ("patient",), "SupplyRequest": ("subject",), "Task": ("patient", "focus"),
    "VisionPrescription": ("patient",),
}  # fmt: skip


def types(compartment: str) -> tuple[str, ...]:
    """The types that can belong to a compartment. Raises KeyError for one that is not answered."""
    return tuple(sorted({"Patient": PATIENT}[compartment]))


def links(compartment: str, type: str) -> tuple[SearchParam, ...]:
    """The parameters by which resources of a type belong to a compartment; none: the type never does."""
    known = params_for(type)
    return tuple(known[name] for name in {"Patient": PATIENT}[compartment].get(type, ()))
