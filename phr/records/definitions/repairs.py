"""Takes out of a distribution of the definitions what is not R4 (4.0.1). Pure.

Some redistributions of HL7's files carry elements of their own (Meta.project), of R4B or of R5
(ResearchStudy.label). Found by comparing with R4's JSON schema and with the R4B models of `fhir.resources`.
"""

from __future__ import annotations

from typing import Any

# type -> elements R4 does not know
STRAY: dict[str, set[str]] = {
    "Meta": {"project", "author", "onBehalfOf", "account", "accounts", "compartment"},
    "Binary": {"url"},
    "ObservationDefinition": {"publisher"},
    "DeviceDefinition": {"classification", "bodySite"},
    "ResearchStudy": {
        "name", "descriptionSummary", "studyDesign", "recruitment", "progressStatus", "comparisonGroup", "region",
        "whyStopped", "associatedParty", "result", "outcomeMeasure", "label", "classifier",
    },
    "ResearchStudy.objective": {"description"},
}  # fmt: skip
STRAY_TYPES = (
    "DeviceDefinition.classification", "EvidenceVariable.characteristic.", "ResearchStudy.label",
    "ResearchStudy.associatedParty", "ResearchStudy.progressStatus", "ResearchStudy.recruitment",
    "ResearchStudy.comparisonGroup", "ResearchStudy.outcomeMeasure",
)  # fmt: skip
STRAY_PARAMETERS = {("DeviceDefinition", "classification")}
# Search parameters whose expressions R4 itself got wrong: without the type, or with components the wrong way round
_EXPRESSIONS = {"InsurancePlan-name": "InsurancePlan.name | InsurancePlan.alias"}
_COMPONENTS = {"DocumentReference-relationship": ("target", "code")}
# R4's own form, where a later one stands in its place: element -> [types, min, max, flags, codes]
_DEFINITIONS = ["Reference>Group", "canonical", "CodeableConcept", "Expression", "DataRequirement", "TriggerDefinition"]
_CHARACTERISTIC: dict[str, list[Any]] = {
    "id": [["string"], 0, 1, 0, None],
    "extension": [["Extension"], 0, 0, 0, None],
    "modifierExtension": [["Extension"], 0, 0, 3, None],
    "description": [["string"], 0, 1, 0, None],
    "definition[x]": [_DEFINITIONS, 1, 1, 1, None],
    "usageContext": [["UsageContext"], 0, 0, 0, None],
    "exclude": [["boolean"], 0, 1, 0, None],
    "participantEffective[x]": [["dateTime", "Period", "Duration", "Timing"], 0, 1, 0, None],
    "timeFromStart": [["Duration"], 0, 1, 0, None],
}


def repaired(types: dict[str, dict[str, list[Any]]], group_measure: list[Any]) -> dict[str, dict[str, list[Any]]]:
    """The element table with only what R4 knows. `group_measure`: the row of EvidenceVariable's groupMeasure."""
    sound = {
        name: {element: row for element, row in rows.items() if element not in STRAY.get(name, ())}
        for name, rows in types.items()
        if not name.startswith(STRAY_TYPES)
    }
    sound["EvidenceVariable.characteristic"] = _CHARACTERISTIC | {"groupMeasure": group_measure}
    sound["EvidenceVariable"]["characteristic"] = [["EvidenceVariable.characteristic"], 1, 0, 1, None]
    return sound


def repaired_parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """A search parameter with an expression that can be read."""
    name = parameter["id"]
    if name in _EXPRESSIONS:
        parameter = parameter | {"expression": _EXPRESSIONS[name]}
    if name in _COMPONENTS:
        pairs = zip(parameter["component"], _COMPONENTS[name], strict=True)
        parameter = parameter | {"component": [component | {"expression": told} for component, told in pairs]}
    return parameter
