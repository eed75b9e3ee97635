"""Whether a code is right: in a code system, in a value set, with this display (R4 $validate-code). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phr.records.search.normal import normal
from phr.records.systems import preferred
from phr.records.terminology import grammars
from phr.records.terminology.codesystem import CodeSystem, Concept
from phr.records.terminology.compose import Evaluation
from phr.records.terminology.errors import NotExpandable, TerminologyError, TooLarge, Unknown
from phr.records.terminology.library import Library
from phr.records.terminology.sources import Resource, dicts


@dataclass(frozen=True, slots=True)
class Coded:
    """A coding as it was asked about."""

    system: str
    code: str
    version: str | None = None
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer. `display`: the right one, where it is known."""

    result: bool
    message: str | None = None
    display: str | None = None


def in_system(system: CodeSystem, coded: Coded, *, abstract: bool) -> Finding:
    """Whether the code is in the code system. Raises NotExpandable where only a part of it is loaded."""
    concept = system.find(coded.code)
    if concept is None:
        if not system.enumerable:
            raise NotExpandable(f"{system.url} は一部だけ読み込まれています。Only a part of {system.url} is loaded.")
        return Finding(False, f"{coded.code[:100]} は {system.url} にありません。Not a code of {system.url}.")
    return _of_concept(concept, coded, abstract=abstract)


def in_system_of(library: Library, coded: Coded, *, abstract: bool) -> Finding:
    """`in_system` of the code system the coding names, or its grammar. Raises Unknown, NotExpandable."""
    try:
        return in_system(library.code_system(coded.system, coded.version), coded, abstract=abstract)
    except (Unknown, NotExpandable):
        told = grammars.is_code(coded.system, coded.code)
        if told is None:
            raise
        text = f"{coded.code[:100]} は {coded.system} の形ではありません。Not a code of {coded.system}."
        return Finding(told, None if told else text)


def in_value_set(evaluation: Evaluation, valueset: Resource, coded: Coded, *, abstract: bool) -> Finding:
    """Whether the code is in the value set. Raises NotExpandable where that cannot be decided."""
    if not evaluation.contains(valueset, coded.system, coded.code):
        name = valueset.get("url") or "the value set"
        return Finding(False, f"{coded.system}|{coded.code[:100]} は値セットにありません。Not a member of {name}.")
    displays = _listed_displays(valueset, coded)
    try:
        concept = evaluation.library.code_system(coded.system, coded.version).find(coded.code)
    except Unknown:
        concept = None
    if concept is None:
        wrong = coded.display and displays and normal(coded.display) not in map(normal, displays)
        shown = displays[0] if displays else None
        return Finding(False, _other_display(shown), shown) if wrong else Finding(True, None, shown)
    return _of_concept(concept, coded, abstract=abstract, more=displays)


def any_of(found: Iterable[Finding | TerminologyError]) -> Finding:
    """One answer for several codings: one that is right is enough. Raises where none is, and one cannot be decided."""
    findings = list(found)
    for finding in findings:
        if isinstance(finding, Finding) and finding.result:
            return finding
    for finding in findings:
        if isinstance(finding, TerminologyError):
            raise finding
    told = [f for f in findings if isinstance(f, Finding)]
    return told[0] if told else Finding(False, "コードがありません。There is no coding.")


def tried(evaluation: Evaluation, valueset: Resource, coded: Coded, *, abstract: bool) -> Finding | TerminologyError:
    """`in_value_set`, or why it cannot be decided. Raises TooLarge."""
    try:
        return in_value_set(evaluation, valueset, coded, abstract=abstract)
    except TooLarge:
        raise
    except TerminologyError as error:
        return error


def subsumption(system: CodeSystem, a: str, b: str) -> str:
    """equivalent, subsumes (a is above b), subsumed-by or not-subsumed (R4 $subsumes). Raises Unknown."""
    one, other = system.concept(a), system.concept(b)
    if one.code == other.code:
        return "equivalent"
    if other.code in system.below(one.code):
        return "subsumes"
    return "subsumed-by" if other.code in system.above(one.code) else "not-subsumed"


def _of_concept(concept: Concept, coded: Coded, *, abstract: bool, more: Sequence[str] = ()) -> Finding:
    display = concept.display or (more[0] if more else None)
    if concept.abstract and not abstract:
        text = "抽象的な符号で、選ぶことはできません。The code is abstract: not for use unless `abstract` is true."
        return Finding(False, text, display)
    right = [*more, *([display] if display else []), *(str(d.get("value", "")) for d in concept.designations)]
    if coded.display and right and normal(coded.display) not in map(normal, right):
        return Finding(False, _other_display(display), display)
    inactive = "使われなくなった符号です。The code is inactive." if concept.inactive else None
    return Finding(True, inactive, display)


def _other_display(display: str | None) -> str:
    return f"表示名が違います。The display differs: {display}"


def _listed_displays(valueset: Resource, coded: Coded) -> list[str]:
    """The displays a value set itself gives a code."""
    found = []
    compose = valueset.get("compose")
    for part in dicts(compose.get("include")) if isinstance(compose, dict) else []:
        if preferred(str(part.get("system", ""))) == preferred(coded.system):
            rows = [row for row in dicts(part.get("concept")) if row.get("code") == coded.code]
            found += [str(row["display"]) for row in rows if "display" in row]
            found += [str(d.get("value", "")) for row in rows for d in dicts(row.get("designation"))]
    return found
