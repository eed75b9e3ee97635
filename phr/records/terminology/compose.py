"""Which codes a ValueSet holds: ValueSet.compose, listed or asked about one code (R4 valueset.html 4.9.5). Pure.

Listing needs every code system that a set draws on; asking about one code needs only what can decide it. What
cannot be decided is never "no": it raises NotExpandable. Both forms agree (tested over random sets).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from phr.records.systems import preferred
from phr.records.terminology import grammars
from phr.records.terminology.codesystem import CodeSystem, Concept
from phr.records.terminology.errors import BadFilter, NotExpandable, TerminologyError, TooLarge, Unknown
from phr.records.terminology.filters import Test, test_of
from phr.records.terminology.library import Library
from phr.records.terminology.sources import Resource, dicts

MOST_STEPS = 500_000  # concepts looked at for one question
DEEPEST = 20  # value sets inside each other
PER_REGEX = 8  # what an expression costs at each concept besides
PER_FILTER = 500  # what a filter costs besides the concepts it looks at

Key = tuple[str, str]  # system (preferred spelling), code
Versions = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One member. `concept` is what the code system says of it, where that is loaded."""

    system: str
    code: str
    version: str | None = None
    display: str | None = None
    designations: Sequence[Any] = ()
    concept: Concept | None = None

    @property
    def inactive(self) -> bool:
        return self.concept is not None and self.concept.inactive

    @property
    def abstract(self) -> bool:
        return self.concept is not None and self.concept.abstract


@dataclass(slots=True)
class Members:
    """The listed members, in the order of the definition. `unclosed`: code systems of which only a part is known."""

    entries: dict[Key, Entry] = field(default_factory=dict)
    unclosed: set[str] = field(default_factory=set)
    systems: set[str] = field(default_factory=set)  # "url|version" of what was used


@dataclass(frozen=True, slots=True)
class Choice:
    """What an expansion is asked to do besides. Versions are by system URL."""

    active_only: bool = False
    without: frozenset[str] = frozenset()
    default: Versions = field(default_factory=dict)
    checked: Versions = field(default_factory=dict)
    forced: Versions = field(default_factory=dict)


class Evaluation:
    """One question about value sets, with one budget."""

    def __init__(self, library: Library, choice: Choice | None = None) -> None:
        self.library = library
        self.choice = choice or Choice()
        self._left = MOST_STEPS
        self._path: list[str] = []
        self._listed: dict[int, tuple[Resource, Members]] = {}
        self._taken: dict[str, Members] = {}

    # -- listing --------------------------------------------------------------------------------

    def members(self, valueset: Resource) -> Members:
        """Every member. Raises NotExpandable, TooLarge, BadFilter."""
        known = self._listed.get(id(valueset))
        if known is None:
            with self._inside(valueset):
                known = self._listed[id(valueset)] = (valueset, self._members(valueset))
        return known[1]

    def _members(self, valueset: Resource) -> Members:
        compose = valueset.get("compose")
        if not isinstance(compose, dict):
            return self._pre_expanded(valueset)
        try:
            found = self._union(dicts(compose.get("include")))
            taken = self._union(dicts(compose.get("exclude")))
        except NotExpandable:
            if _is_whole(valueset.get("expansion")):
                return self._pre_expanded(valueset)
            raise
        if taken.unclosed:
            raise _not_listed(min(taken.unclosed))
        active = self.choice.active_only or compose.get("inactive") is False
        kept = {k: e for k, e in found.entries.items() if k not in taken.entries and not (active and e.inactive)}
        return Members(kept, found.unclosed, found.systems | taken.systems)

    def _pre_expanded(self, valueset: Resource) -> Members:
        expansion = valueset.get("expansion")
        if not _is_whole(expansion):
            text = (
                "定義 (compose) も全体の展開もありません。The value set has neither a definition nor a whole expansion."
            )
            raise NotExpandable(text)
        found = Members()
        waiting = dicts(expansion.get("contains"))[::-1]
        while waiting:
            row = waiting.pop()
            self._spend(1)
            system, code = row.get("system"), row.get("code")
            if isinstance(system, str) and isinstance(code, str) and row.get("abstract") is not True:
                key = (preferred(system), code)
                found.entries.setdefault(key, Entry(system, code, row.get("version"), _text(row.get("display"))))
            waiting.extend(dicts(row.get("contains"))[::-1])
        return found

    def _union(self, parts: list[Any]) -> Members:
        found, seen = Members(), dict[int, Members]()
        for part in parts:
            self._spend(PER_FILTER)
            more = self._part(part)
            if id(more) in seen:
                continue
            seen[id(more)] = more  # kept, so that no other gets its id
            for key, entry in more.entries.items():
                found.entries.setdefault(key, entry)
            found.unclosed |= more.unclosed
            found.systems |= more.systems
        return found

    def _part(self, part: Mapping[str, Any]) -> Members:
        """One include or exclude: its codes, and all its value sets at once (R4 4.9.5.2)."""
        parts = [self._of_system(part)] if "system" in part else []
        parts += [self.members(self._nested(url)) for url in _nested_urls(part)]
        if not parts:
            raise BadFilter("include には system か valueSet が要ります。An include needs a system or a value set.")
        first = parts[0]
        for other in parts[1:]:
            self._spend(len(first.entries))
            entries = {k: e for k, e in first.entries.items() if k in other.entries}
            first = Members(entries, first.unclosed | other.unclosed, first.systems | other.systems)
        return first

    def _of_system(self, part: Mapping[str, Any]) -> Members:
        url = _system_of(part)
        if url in self.choice.without:
            return Members()
        if part.get("leftOut"):
            raise _not_bundled(url)
        if "concept" in part:
            return self._listed_codes(url, part)
        asked = repr([part.get(key) for key in ("system", "version", "filter")])
        if asked not in self._taken:  # the same again is looked at once
            self._taken[asked] = self._selected(url, part)
        return self._taken[asked]

    def _selected(self, url: str, part: Mapping[str, Any]) -> Members:
        system = self._system(url, part)
        found = Members(systems={_pinned(system)})
        if not system.enumerable:
            if not system.concepts:
                raise _not_listed(url)
            found.unclosed.add(url)
        tests = self._tests(system, part)
        dear = sum(PER_REGEX for row in dicts(part.get("filter")) if row.get("op") == "regex")
        self._spend(len(system.concepts) * (1 + len(tests) + dear))
        own = preferred(url)
        for concept in system.concepts.values():
            if all(test(concept) for test in tests):
                found.entries[own, concept.code] = _entry(url, system, concept)
        return found

    def _listed_codes(self, url: str, part: Mapping[str, Any]) -> Members:
        """Codes named one by one: the code system, if it is loaded, only adds what it says of them."""
        rows = [row for row in dicts(part.get("concept")) if isinstance(row.get("code"), str)]
        self._spend(len(rows))
        try:
            system = self._system(url, part)
        except NotExpandable:
            system = None
        found = Members(systems={_pinned(system)} if system else set())
        for row in rows:
            concept = system.find(row["code"]) if system else None
            display = _text(row.get("display")) or (concept.display if concept else None)
            designations = [*dicts(row.get("designation")), *(concept.designations if concept else ())]
            version = system.version if system else _text(part.get("version"))
            entry = Entry(url, row["code"], version, display, designations, concept)
            found.entries.setdefault((preferred(url), row["code"]), entry)
        return found

    # -- asking about one code --------------------------------------------------------------------

    def contains(self, valueset: Resource, system: str, code: str) -> bool:
        """Whether a code is a member. Raises NotExpandable where that cannot be decided."""
        verdict = self._contains(valueset, preferred(system), code)
        if isinstance(verdict, TerminologyError):
            raise verdict
        return verdict

    def _contains(self, valueset: Resource, system: str, code: str) -> bool | TerminologyError:
        with self._inside(valueset):
            compose = valueset.get("compose")
            if not isinstance(compose, dict):
                try:
                    return (system, code) in self._pre_expanded(valueset).entries
                except NotExpandable as error:
                    return error
            verdict = self._in_any(dicts(compose.get("include")), system, code)
            if verdict is not False:
                verdict = _both(verdict, _not(self._in_any(dicts(compose.get("exclude")), system, code)))
            if verdict is not False and (self.choice.active_only or compose.get("inactive") is False):
                verdict = _both(verdict, not self._is_inactive(system, code))
            return verdict

    def _in_any(self, parts: list[Any], system: str, code: str) -> bool | TerminologyError:
        verdict: bool | TerminologyError = False
        for part in parts:
            self._spend(1)
            verdict = _either(verdict, self._in_part(part, system, code))
            if verdict is True:
                break
        return verdict

    def _in_part(self, part: Mapping[str, Any], system: str, code: str) -> bool | TerminologyError:
        nested = _nested_urls(part)
        if "system" not in part and not nested:
            return BadFilter("include には system か valueSet が要ります。An include needs a system or a value set.")
        verdict = self._in_system(part, system, code) if "system" in part else True
        for url in nested:
            if verdict is False:
                break
            try:
                verdict = _both(verdict, self._contains(self._nested(url), system, code))
            except NotExpandable as error:
                verdict = error
        return verdict

    def _in_system(self, part: Mapping[str, Any], system: str, code: str) -> bool | TerminologyError:
        url = _system_of(part)
        if preferred(url) != system or url in self.choice.without:
            return False
        if part.get("leftOut"):
            return _not_bundled(url)
        if "concept" in part:
            rows = dicts(part["concept"])
            self._spend(len(rows))
            return any(row.get("code") == code for row in rows)
        verdict = self._in_loaded(url, part, code)
        if isinstance(verdict, NotExpandable) and not part.get("filter"):
            told = grammars.is_code(url, code)
            return verdict if told is None else told
        return verdict

    def _in_loaded(self, url: str, part: Mapping[str, Any], code: str) -> bool | TerminologyError:
        try:
            loaded = self._system(url, part)
            concept = loaded.find(code)
            if concept is None:
                return False if loaded.enumerable else _not_listed(url)
            return all(test(concept) for test in self._tests(loaded, part))
        except TooLarge:
            raise
        except TerminologyError as error:
            return error

    def _is_inactive(self, system: str, code: str) -> bool:
        try:
            concept = self.library.code_system(system).find(code)
        except Unknown:
            return False
        return concept is not None and concept.inactive

    # -- what both need ---------------------------------------------------------------------------

    def _system(self, url: str, part: Mapping[str, Any]) -> CodeSystem:
        choice = self.choice
        version = choice.forced.get(url) or _text(part.get("version")) or choice.default.get(url)
        if url in choice.checked and version and version != choice.checked[url]:
            text = f"{url}: 版 {version} は求められた版ではありません。Version {version} is not the one asked for."
            raise BadFilter(text)
        try:
            return self.library.code_system(url, version or choice.checked.get(url))
        except Unknown as error:
            raise NotExpandable(str(error)) from None

    def _tests(self, system: CodeSystem, part: Mapping[str, Any]) -> list[Test]:
        told = dicts(part.get("filter"))
        self._spend((PER_FILTER + len(system.concepts) // 10) * len(told))
        try:
            return [test_of(system, row) for row in told]
        except Unknown as error:
            raise NotExpandable(str(error)) from None

    def _nested(self, url: str) -> Resource:
        try:
            return self.library.value_set(url)
        except Unknown as error:
            raise NotExpandable(str(error)) from None

    @contextmanager
    def _inside(self, valueset: Resource) -> Iterator[None]:
        name = str(valueset.get("url") or id(valueset))
        if name in self._path:
            text = "値セットが自分自身を含んでいます。The value set includes itself: " + " > ".join([*self._path, name])
            raise NotExpandable(text[:500])
        if len(self._path) >= DEEPEST:
            raise TooLarge(f"値セットの入れ子は {DEEPEST} 段までです。Value sets may be nested {DEEPEST} deep.")
        self._path.append(name)
        try:
            yield
        finally:
            self._path.pop()

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            text = f"調べる概念は {MOST_STEPS} までです。At most {MOST_STEPS} concepts are looked at for one question."
            raise TooLarge(text)


# -- three-valued logic: yes, no, or why it cannot be said -------------------------------------------

Verdict = bool | TerminologyError


def _not(verdict: Verdict) -> Verdict:
    return verdict if isinstance(verdict, TerminologyError) else not verdict


def _both(one: Verdict, other: Verdict) -> Verdict:
    if one is False or other is False:
        return False
    return one if isinstance(one, TerminologyError) else other


def _either(one: Verdict, other: Verdict) -> Verdict:
    if one is True or other is True:
        return True
    return one if isinstance(one, TerminologyError) else other


# -- reading a compose that may be anything --------------------------------------------------------


def _nested_urls(part: Mapping[str, Any]) -> list[str]:
    nested = part.get("valueSet")
    return [url for url in nested if isinstance(url, str)] if isinstance(nested, list) else []


def _system_of(part: Mapping[str, Any]) -> str:
    url = part.get("system")
    if not isinstance(url, str):
        raise BadFilter("include.system は文字列です。include.system must be a URI.")
    return url


def _is_whole(expansion: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a stored expansion lists everything (R4 4.9.7: total, offset; valueset-unclosed)."""
    if not isinstance(expansion, dict) or expansion.get("extension") or expansion.get("offset"):
        return False
    total, rows = expansion.get("total"), 0
    waiting = dicts(expansion.get("contains"))
    if not waiting or total is None:
        return bool(waiting)
    while waiting:
        row = waiting.pop()
        rows += 1
        waiting.extend(dicts(row.get("contains")))
    return bool(rows >= total) if isinstance(total, int) else False


def _entry(url: str, system: CodeSystem, concept: Concept) -> Entry:
    return Entry(url, concept.code, system.version, concept.display, concept.designations, concept)


def _pinned(system: CodeSystem) -> str:
    return f"{system.url}|{system.version}" if system.version else system.url


def _not_bundled(url: str) -> NotExpandable:
    return NotExpandable(f"{url} の符号は同梱していません。Codes of {url} are not bundled; an operator may load them.")


def _not_listed(url: str) -> NotExpandable:
    return NotExpandable(f"{url} の全体は読み込まれていません。{url} is not loaded as a whole.")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
