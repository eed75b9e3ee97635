"""Invariants of R4 that bite in practice, as plain functions on JSON. Pure.

A rule is asked about one object of its type, of any shape; where it cannot tell, it holds
(structure is checked elsewhere). Source: FHIR R4, the constraints named by their keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phr.records.search.ranges import date_range

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """`key`: the constraint's key in R4; `human`: what it wants."""

    key: str
    holds: Callable[[Node], bool]
    human: str


def _has(node: Node, stem: str) -> bool:
    """Whether a choice element is there in any of its types (valueQuantity, valueString …)."""
    return any(key.startswith(stem) and key[len(stem) : len(stem) + 1].isupper() for key in node)


def _codes(node: Node, name: str) -> set[str]:
    concept = node.get(name)
    codings = concept.get("coding") if isinstance(concept, dict) else None
    found = codings if isinstance(codings, list) else []
    return {c["code"] for c in found if isinstance(c, dict) and isinstance(c.get("code"), str)}


def _period_in_order(node: Node) -> bool:
    start, end = node.get("start"), node.get("end")
    if not (isinstance(start, str) and isinstance(end, str)):
        return True
    try:
        return date_range(start)[0] < date_range(end)[1]
    except (ValueError, OverflowError):
        return True


def _one_of_value_and_extension(node: Node) -> bool:
    return ("extension" in node) != (_has(node, "value") or _has(node, "_value"))


def _component_differs(node: Node) -> bool:
    components = node.get("component")
    if not (_has(node, "value") and isinstance(components, list)):
        return True
    return not any(_codes(node, "code") & _codes(c, "code") for c in components if isinstance(c, dict))


def _abated(node: Node) -> bool:
    return not _has(node, "abatement") or bool(_codes(node, "clinicalStatus") & {"inactive", "resolved", "remission"})


def _in_error(node: Node) -> bool:
    return "entered-in-error" in _codes(node, "verificationStatus")


def _items_not_under_both(node: Node) -> bool:
    return not ("item" in node and "answer" in node)


_QUANTITY = (Rule("qty-3", lambda n: "code" not in n or "system" in n, "a unit code needs a system"),)

RULES: dict[str, tuple[Rule, ...]] = {
    "Quantity": _QUANTITY,
    "SimpleQuantity": _QUANTITY,
    "Age": _QUANTITY,
    "Duration": _QUANTITY,
    "Period": (Rule("per-1", _period_in_order, "start must not be after end"),),
    "Extension": (Rule("ext-1", _one_of_value_and_extension, "either a value or extensions, not both, not neither"),),
    "ContactPoint": (Rule("cpt-2", lambda n: "value" not in n or "system" in n or "_system" in n,
                          "a value needs a system"),),
    "Attachment": (Rule("att-1", lambda n: "data" not in n or "contentType" in n, "data needs a contentType"),),
    "Observation": (
        Rule("obs-6", lambda n: not ("dataAbsentReason" in n and _has(n, "value")),
             "dataAbsentReason stands only where there is no value"),
        Rule("obs-7", _component_differs, "a component has the code of the observation, so value must be absent"),
    ),
    "Condition": (
        Rule("con-4", _abated, "an abated condition is inactive, resolved or in remission"),
        Rule("con-5", lambda n: not (_in_error(n) and "clinicalStatus" in n),
             "what was entered in error has no clinicalStatus"),
    ),
    "AllergyIntolerance": (
        Rule("ait-1", lambda n: _in_error(n) or "clinicalStatus" in n,
             "clinicalStatus is needed unless entered in error"),
        Rule("ait-2", lambda n: not (_in_error(n) and "clinicalStatus" in n),
             "what was entered in error has no clinicalStatus"),
    ),
    "Patient.contact": (
        Rule("pat-1", lambda n: any(k in n for k in ("name", "telecom", "address", "organization")),
             "a contact needs a name, telecom, address or organization"),
    ),
    "Immunization.education": (
        Rule("imm-1", lambda n: "documentType" in n or "reference" in n, "needs a documentType or a reference"),
    ),
    "QuestionnaireResponse.item": (
        Rule("qrs-1", _items_not_under_both, "items stand under the item or under its answers, not both"),
    ),
}  # fmt: skip
