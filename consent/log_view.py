"""What one reader of the log is told of one line. Pure: lines and Facts in, what may be shown out.

The log must not tell what the record hides: not another guardian's place or device (G-05), not where a protected
person is (G-08), nothing of a resource marked confidential or for child protection (G-12, G-13), not that it was
counted. Whoever reads is told of a resource only what she could read herself now. A freeze stays silent (G-07).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from consent import rules
from consent.asking import FAMILY, Capacity
from consent.scope import Category, Facts, Purpose

# Who protects whom from whom, and how somebody signs in: no guardian reads it, whoever did it.
SILENT = ("guardianship", "location", "protection", "mark", "proxies", "case", "death", "adoption", "hold")
SILENT_TO_YOUNG = ("mark", "protection")  # nor, of child protection, the young person (G-13)
OWN_ONLY = ("token", "person", "credential", "password", "recovery", "account", "log", "trust")  # devices, sign-ins
NOBODY = ("record:disagreed", "token:introspected")  # about this server
REFUSALS = frozenset({"record:refused", "grant:refused", "token:refused", "import:refused", "provision:turned-away"})
EMERGENCY = frozenset({Purpose.BTG.value, Purpose.ETREAT.value})

Sees = Callable[[Facts], bool]
Known = Mapping[str, Facts]  # "Type/id" -> Facts, of what the reader may read now


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads: herself, a guardian of hers, or staff and systems, who are told what their own organisation did."""

    person: int | None
    capacity: Capacity
    adult: bool = False  # whose record it is has come of age
    place_hidden: bool = False
    organization: int | None = None  # of staff and systems


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line, opened. `detail` None: its key is gone."""

    id: str  # what it is called outside: tells nothing
    at: datetime
    event: str
    subject: UUID | None
    person: int | None
    organization: int | None
    client: str
    capacity: str
    purpose: str
    request: str
    detail: Mapping[str, Any] | None

    @property
    def because(self) -> tuple[str, ...]:
        told = (self.detail or {}).get("because") or ()
        return tuple(" ".join([told] if isinstance(told, str) else map(str, told)).split())

    @property
    def named(self) -> tuple[str, ...]:
        """The resources it names, "Type/id"."""
        told = self.detail or {}
        one = (
            [f"{told['type']}/{told['id']}"] if self.event.startswith("record:") and {"type", "id"} <= set(told) else []
        )
        return tuple(one + ["/".join(str(name).split("/")[:2]) for name in told.get("resources") or ()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a reader is told. `who`: self, you, guardian (another one), proxy, staff, researcher, system or trust."""

    id: str  # what it is called outside: tells nothing
    at: datetime
    event: str
    subject: UUID | None
    who: str
    person: int | None  # whose name may stand there
    organization: int | None
    client: str
    purpose: str
    decision: str  # permit, deny
    types: tuple[str, ...]
    references: tuple[str, ...]
    categories: tuple[str, ...]
    count: int | None
    rules: tuple[str, ...]
    consents: tuple[int, ...]
    emergency: bool
    readable: bool = True
    own: bool = False
    request: str = ""
    times: int = 1
    since: datetime | None = None
    params: tuple[str, ...] = ()  # the names of search parameters; their values are never kept
    provision: str = ""


def shown(line: Line, reader: Reader, *, known: Known, sees: Sees) -> Shown | None:
    """One line as this reader is told of it; None = it is not there for her."""
    own = line.person is not None and line.person == reader.person
    if not _may_know(line, reader, own=own):
        return None
    what = _what(line, known, sees, office=reader.capacity not in FAMILY)
    if what is None:
        return None
    types, references, categories, count = what
    other = _other(line, own=own)
    # G-08: where she is, is told by who asked for her; herself and who treats her excepted.
    office = reader.capacity not in FAMILY
    hidden = reader.place_hidden and not office and reader.capacity is not Capacity.SELF and not own
    # G-05: of another guardian nothing but that it was one. A grown-up is told who acted for her as a child.
    private = other in {"guardian", "self", "proxy"} and not own and not office
    named = private and reader.capacity is Capacity.SELF and reader.adult
    rules_, consents = _under(line)
    return Shown(
        id=line.id, at=line.at, event=line.event, subject=line.subject, who="you" if own and not office else other,
        person=line.person if own or named or office else None,
        organization=None if hidden or private else line.organization,
        client="" if hidden or private else line.client, purpose=line.purpose,
        decision="deny" if line.event in REFUSALS else "permit", types=types, references=references,
        categories=categories, count=count, rules=rules_, consents=consents, own=own,
        emergency=line.purpose in EMERGENCY or any(rule.startswith("L4.") for rule in rules_),
        readable=line.detail is not None, request=line.request if own or office else "",
        params=tuple(map(str, (line.detail or {}).get("params") or ())),
        provision=str((line.detail or {}).get("provision") or ""),
    )  # fmt: skip


def _may_know(line: Line, reader: Reader, *, own: bool) -> bool:
    kind = line.event.partition(":")[0]
    if line.event in NOBODY:
        return False
    if reader.capacity not in FAMILY:
        return line.organization is not None and line.organization == reader.organization
    if reader.capacity is Capacity.SELF:
        return reader.adult or kind not in SILENT_TO_YOUNG
    if own:
        return kind not in SILENT
    if kind in SILENT or kind in OWN_ONLY or line.detail is None:
        return False
    # That somebody of the family was refused tells of a freeze.
    return line.event not in REFUSALS or line.capacity not in {Capacity.SELF, Capacity.GUARDIAN, ""}


What = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], int | None]


def _what(line: Line, known: Known, sees: Sees, *, office: bool) -> What | None:
    """Types, references, categories and count of what the reader may know of; None where there was nothing else.

    An office keeps the account of what it did: without naming what it may see no longer.
    """
    told = line.detail or {}
    if names := line.named:
        seen = [known[name] for name in names if name in known]
        if not seen and office:
            return tuple(dict.fromkeys(name.partition("/")[0] for name in names)), (), (), None
        if not seen:
            return None
        types = tuple(dict.fromkeys(facts.type for facts in seen))
        references = tuple(dict.fromkeys(f"{facts.type}/{facts.id}" for facts in seen))
        return types, references, _categories(facts.categories for facts in seen), len(references)
    types = (str(told["type"]),) if told.get("type") else ()
    if "kinds" not in told:
        counted = told.get("count")
        if counted and "categories" in told:  # not told apart: only for whoever may see everything
            return None
        return types, (), (), counted if isinstance(counted, int) else None
    kinds = [tuple(map(int, str(kind).split(":"))) for kind in told["kinds"]]
    seen_kinds = [k for k in kinds if sees(_stand_in(line, types, k))]
    if not seen_kinds and office:
        return types, (), (), None
    if not seen_kinds:
        return None
    return types, (), _categories(k[0] for k in seen_kinds), sum(k[3] for k in seen_kinds)


def _stand_in(line: Line, types: Sequence[str], kind: Sequence[int]) -> Facts:
    """A resource of this kind, as a rule would look at it: its time and author are not known."""
    subjects = () if line.subject is None else (line.subject,)
    return Facts(types[0] if types else "*", "", subjects, categories=kind[0], level=kind[1], marks=kind[2])


def _categories(masks: Iterable[int]) -> tuple[str, ...]:
    held = 0
    for mask in masks:
        held |= mask
    return tuple(str(category.name) for category in Category if held & category)


def _other(line: Line, *, own: bool) -> str:
    if line.capacity:
        return line.capacity
    if own:
        return "you"
    return "staff" if line.organization is not None else "guardian" if line.person is not None else "trust"


def _under(line: Line) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The rules and the consents (ids of Grants) it stands on."""
    told = line.detail or {}
    consents = [int(one[6:]) for one in line.because if one.startswith("grant:") and one[6:].isdecimal()]
    if isinstance(told.get("grant"), int):
        consents.append(told["grant"])
    codes = [one for one in line.because if ":" not in one]
    return tuple(dict.fromkeys(codes)), tuple(dict.fromkeys(consents))


def collapsed(lines: Iterable[Shown]) -> list[Shown]:
    """The reader's own lines of one kind that follow one another, as one; newest first, as they come."""
    kept: list[Shown] = []
    for line in lines:
        last = kept[-1] if kept else None
        if last is not None and line.own and last.own and last.event == line.event:
            kept[-1] = replace(
                last, times=last.times + 1, since=line.at,
                types=tuple(dict.fromkeys((*last.types, *line.types))),
                categories=tuple(dict.fromkeys((*last.categories, *line.categories))),
                references=(), count=None, consents=tuple(dict.fromkeys((*last.consents, *line.consents))),
                rules=tuple(dict.fromkeys((*last.rules, *line.rules))),
            )  # fmt: skip
        else:
            kept.append(line)
    return kept


def is_adult(birth_on: Any, now: datetime) -> bool:
    """Whether whose record it is has come of age; whose birth is not told is taken for a grown-up."""
    return birth_on is None or rules.age_on(birth_on, rules.today_in_japan(now)) >= rules.ADULT_AGE
