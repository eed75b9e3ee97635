"""Bindings: whether codes are from the value set a profile names (R4 terminologies.html §4.1.5). Pure."""

from __future__ import annotations

from typing import Any, Final

from phr.records.fhirpath import Node
from phr.records.profiles.structure import Binding, Profile
from phr.records.profiles.walk import Walk

_QUANTITIES: Final = frozenset({"Quantity", "Age", "Duration", "Count", "Distance", "Money", "SimpleQuantity"})
# R4 elementdefinition.html eld-11; a choice may have types that no binding is about
_BINDABLE: Final = _QUANTITIES | {"code", "Coding", "CodeableConcept", "string", "uri"}
_MOST_CODINGS: Final = 100
Coding = tuple[str | None, str]


def bound(walk: Walk, node: Node, binding: Binding | None, profile: Profile) -> None:
    """A required binding that is broken is an error, an extensible one a warning; unknown sets are told as such."""
    if (
        binding is None
        or node.type not in _BINDABLE
        or not walk.first(node, "binding " + binding.value_set + binding.strength)
    ):
        return
    if walk.quiet and binding.strength != "required":
        return
    answer = holds(walk, binding.value_set, node)
    if answer is True:
        return
    rule = f"{profile.url}, {binding.strength} {binding.value_set}"
    if answer is None:
        text = "値セットを確かめられません。"
        english = "Whether the code is in the value set cannot be told here."
        walk.add(node.path(), "not-supported", text, english, rule, "information")
    elif binding.strength == "required":
        text = "値セットにあるコードが必要です。"
        walk.add(node.path(), "code-invalid", text, "A code from the value set is required.", rule)
    elif codings(node):
        text = "値セットにないコードです。"
        english = "No code is from the value set, which is wanted where one of it fits."
        walk.add(node.path(), "code-invalid", text, english, rule, "warning")


def holds(walk: Walk, value_set: str, node: Node) -> bool | None:
    """Whether one of the node's codes is in the value set; None = cannot be told."""
    found = codings(node)
    if not found:
        return None if _only_extended(node) else False
    answers = []
    for system, code in found[:_MOST_CODINGS]:
        walk.context.step(10)
        answers.append(walk.member(value_set, system, code))
        if answers[-1]:
            return True
    return None if None in answers else False


def codings(node: Node) -> list[Coding]:
    """(system, code) pairs of an element; the system of a bare code is None."""
    value = node.value
    if isinstance(value, str):
        return [(None, value)]
    if not isinstance(value, dict):
        return []
    if node.type == "CodeableConcept":
        listed = value.get("coding")
        found = listed if isinstance(listed, list) else []
        return [c for each in found if (c := _coding(each)) is not None]
    if node.type == "Coding" or node.type in _QUANTITIES:
        return [c] if (c := _coding(value)) is not None else []
    return []


def _coding(value: Any) -> Coding | None:
    code, system = (value.get("code"), value.get("system")) if isinstance(value, dict) else (None, None)
    return (system if isinstance(system, str) else "", code) if isinstance(code, str) else None


def _only_extended(node: Node) -> bool:
    """Only an extension stands for the value (data-absent-reason), or a Quantity has no code yet."""
    source = node.value if isinstance(node.value, dict) else node.beside
    return isinstance(source, dict) and "extension" in source
