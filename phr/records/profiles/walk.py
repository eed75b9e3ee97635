"""What one check of a resource knows and has found so far. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from phr.records.fhirpath import Context, Node, Trouble, Unsupported, compiled
from phr.records.fhirpath.context import TooCostly
from phr.records.profiles.library import Library
from phr.records.profiles.structure import Invariant, Profile, Spec, Unwalkable
from phr.records.validate import Problem

MOST: Final = 200  # findings
STEPS: Final = 600_000  # values touched, by expressions and by the walk itself

# Whether a value set holds (system or None, code); None = cannot be told here
Member = Callable[[str, str | None, str], bool | None]


class Enough(Exception):
    """Nothing more needs to be found: the first fault of a trial, or as many findings as are told."""


@dataclass(slots=True)
class Walk:
    """One check under way. `conforms(walk, node, spec, profile)` tells without reporting (set by `conform`)."""

    library: Library
    member: Member
    context: Context
    conforms: Callable[[Walk, Node, Spec, Profile], bool]
    findings: list[Problem] = field(default_factory=list)
    done: set[tuple[int, str]] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    quiet: bool = False

    def first(self, node: Node, what: str) -> bool:
        """Whether this has not been done on this node before."""
        key = (id(node), what)
        if key in self.done:
            return False
        self.done.add(key)
        return True

    def add(self, where: str, code: str, japanese: str, english: str, rule: str, severity: str = "error") -> None:
        """One finding. `rule`: profile and element or constraint, so that the reader can look it up."""
        if self.quiet and severity != "error":
            return
        self.findings.append(Problem(severity, code, where, f"{japanese} {english} [{rule}]"))
        if self.quiet or len(self.findings) >= MOST:
            raise Enough

    def trial(self) -> Walk:
        """A walk of the same library and the same budget that ends (Enough) with the first error."""
        return Walk(self.library, self.member, self.context, self.conforms, quiet=True)

    def profile(self, url: str, where: str, *, severity: str = "warning") -> Profile | None:
        """A profile by url; one that is not known or cannot be checked is told once, and gives None."""
        try:
            found = self.library.profile(url)
        except Unwalkable as error:
            self._once(
                url, where, "not-supported", f"確かめられません: {error}", "The profile cannot be checked.", severity
            )
            return None
        if found is None:
            text = "プロファイルが読み込まれていません。"
            self._once(url, where, "not-found", text, "The profile is not loaded here.", severity)
        return found

    def _once(self, url: str, where: str, code: str, japanese: str, english: str, severity: str) -> None:
        if url not in self.told:
            self.told.add(url)
            self.add(where, code, japanese, english, url[:200], severity)


def rules(walk: Walk, node: Node, invariants: tuple[Invariant, ...], profile: Profile) -> None:
    """Evaluate invariants on a node, each at most once there."""
    for rule in invariants:
        walk.context.step(3)
        if walk.first(node, rule.key + rule.expression):
            _rule(walk, node, rule, profile)


def _rule(walk: Walk, node: Node, rule: Invariant, profile: Profile) -> None:
    try:
        holds = _holds(walk.context, node, rule)
    except (Unsupported, Trouble, TooCostly) as error:
        if walk.context.left < 0:
            raise TooCostly("the check touches too many values") from None
        code = "too-costly" if isinstance(error, TooCostly) else "not-supported"
        text = f"{rule.key} を評価できません。"
        walk.add(node.path(), code, text, f"{rule.key} could not be evaluated: {error}.", _name(profile), "warning")
        return
    if holds is not True:
        text = f"規則 {rule.key} を満たしません。"
        english = f"{rule.key}: {rule.human}"
        severity = "error" if rule.severity == "error" else "warning"
        walk.add(node.path(), "invariant", text, english, _name(profile), severity)


def _name(profile: Profile) -> str:
    return profile.url


def _holds(context: Context, node: Node, rule: Invariant) -> bool | None:
    match rule.key:
        case "ele-1":  # on every element, so by hand: a value, or children other than the id
            return not isinstance(node.value, dict | None) or any(name != "id" for name in node.kids())
        case "dom-3":
            return _all_used(context, node)
        case "ref-1":  # as written it gives nothing at all where there is no reference, but a display
            return _points_inside(node)
    expression = compiled(rule.expression)
    left = context.left
    context.left = min(left, 100_000)
    granted = context.left
    try:
        return expression.holds(node, context)
    finally:
        context.left = left - (granted - context.left)


def _all_used(context: Context, node: Node) -> bool:
    """dom-3: what is contained is referred to from the resource, or refers to it. One pass instead of one for each."""
    contained = node.kid("contained")
    if not contained:
        return True
    pointed: set[str] = set()
    todo = [node]
    while todo:
        each = todo.pop()
        kids = each.children()
        context.step(len(kids) + 1)
        todo += kids
        if each.type in ("canonical", "uri", "url") and isinstance(each.value, str):
            pointed.add(each.value)
        elif each.type == "Reference" and isinstance(text := each.value.get("reference"), str):
            pointed.add(text)
    return all(f"#{c.value.get('id')}" in pointed or _refers_back(c) for c in contained)


def _points_inside(node: Node) -> bool:
    """ref-1: a local reference leads to what is contained, or to the resource itself."""
    text = node.value.get("reference") if isinstance(node.value, dict) else None
    if not isinstance(text, str) or text[:1] != "#" or text == "#":
        return True
    return any(c.value.get("id") == text[1:] for c in node.root().kid("contained"))


def _refers_back(contained: Node) -> bool:
    todo = [contained]
    while todo:
        each = todo.pop()
        todo += each.children()
        if each.type == "Reference" and each.value.get("reference") == "#":
            return True
    return False
