"""One chunk of Items into the record: who, what is known of it already, what it becomes, written in one transaction.

What is the same for every Item is asked once for the chunk. Of two chunks that hold the same fact one waits for the
other: both lock what is known of it, in one order, before anything is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db import OperationalError, transaction
from psycopg.errors import DeadlockDetected

from consent import protection, provider_records, rules
from consent.decide import Caller
from consent.keys import Erased
from consent.models import Organization
from consent.scope import OPEN_TYPES
from integrations import known, queue, resolving
from integrations.depositing import Depositing, Filing, Names
from integrations.ids import Renamed
from integrations.incoming import Resource
from integrations.items import About, Feed, Identity, Item
from integrations.known import Known
from integrations.models import ImportRun
from integrations.problems import Problem, errors
from integrations.provenance import marked, only, provenance
from integrations.resolving import Linked, contradictions, digest_of, linked
from integrations.wording import say
from phr.records.gateway import Conflict, Forbidden, Gone, Invalid, Rejected

What = Literal["stored", "unchanged", "older", "waiting", "refused"]
TRIES = 4
_NOT_A_FEEDS = frozenset({"Patient", "Person", "Group", "Consent", "Provenance", "AuditEvent"})


class Busy(Exception):
    """Others write the same facts at once, again and again."""


@dataclass(slots=True, kw_only=True)
class Source:
    """Where Items come from. `run` is None for a message that is not kept; `sha256`: of the original.

    `numbers`: the position of each piece from 1, where there are several: problems name it.
    """

    feed: Feed
    organization: Organization
    by: Caller
    sha256: str
    run: ImportRun | None = None
    profile: str = ""
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one Item. `waiting`: its person is not linked yet; `older`: something newer is known."""

    item: Item
    what: What
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Stored:
    """What became of a chunk: a Result for each Item, in order, and how many resources."""

    results: list[Result] = field(default_factory=list)
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    retracted: int = 0


@dataclass(slots=True)
class _Todo:
    """One Item on its way. `names` are those of `resources`; `written`, the ones that really changed."""

    position: int
    item: Item
    who: Linked
    digest: bytes
    content: bytes
    before: Known | None
    salt: str = ""
    resources: list[Resource] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()
    written: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [_name(resource) for resource in self.resources]

    @property
    def own_names(self) -> list[str]:
        """Without what many Items share: who and where (Practitioner, Organization …)."""
        return [_name(resource) for resource in self.resources if resource["resourceType"] not in OPEN_TYPES]


@dataclass(slots=True)
class _Chunk:
    source: Source
    records: Depositing
    items: Sequence[Item]
    now: datetime
    found: dict[int, Result] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)  # by key: the latest `said_at` that can be believed
    out: Stored = field(default_factory=Stored)

    def settle(self, position: int, what: What, problems: Iterable[Problem] = ()) -> None:
        item = self.items[position]
        future = [] if known.said(item, now=self.now) == item.said_at else [say("said-in-future")]
        placed = tuple(_placed(p, item, self.source.numbers) for p in (*item.problems, *future, *problems))
        self.found[position] = Result(item, what, placed)


def store(source: Source, items: Sequence[Item], *, now: datetime) -> Stored:
    """Bring a chunk in, in the caller's transaction if there is one. Raises Busy, and Refused for the caller."""
    for _ in range(TRIES):
        try:
            with transaction.atomic():
                return _store(source, items, now=now)
        except (known.Changed, Conflict, Erased):
            continue
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected):
                raise
    raise Busy


def _store(source: Source, items: Sequence[Item], *, now: datetime) -> Stored:
    chunk = _Chunk(source, Filing.opened_for(source.by, now=now), items, now)
    ready = _whose(chunk, _newest(chunk, _sound(chunk)))
    todo = _mapped(chunk, _news(chunk, ready))
    for one in todo:
        one.item = known.dated(one.item, chunk.said[one.item.key])
    chunk.records.linked |= {t.before.subject for t in todo if t.before}
    known.hold([t.before for t in todo if t.before])
    known.add(source, {t.digest: (t.who, t.content, t.item, t.names) for t in todo if t.before is None})
    there = chunk.records.there({name for t in todo for name in t.names})
    plain = [t for t in todo if t.before is None and not there.intersection(t.own_names)]
    others = [t for t in todo if t.before or there.intersection(t.own_names)]
    done = [t for t in others if _renewed(chunk, t, there)]
    _shared(chunk, plain, there)
    refused = _created(chunk, plain, done, there)
    failed = [*refused, *(t for t in others if t not in done)]
    known.drop(source, [t.digest for t in failed if t.before is None])
    known.change(source, {t.digest: (t.who, t.content, t.item, t.names, t.salt) for t in done if t.before})
    _confirm(chunk, todo)
    chunk.out.results = [chunk.found[position] for position in range(len(items))]
    return chunk.out


def _sound(chunk: _Chunk) -> list[int]:
    """The positions of Items of which something can come."""
    sound = []
    for position, item in enumerate(chunk.items):
        if errors(item.problems):
            chunk.settle(position, "refused")
        elif not item.identity.value:
            chunk.settle(position, "refused", [say("no-number")])
        else:
            sound.append(position)
    return sound


def _newest(chunk: _Chunk, positions: Iterable[int]) -> list[int]:
    """Of what is said twice in a chunk, the newest; what it replaces at once is never written."""
    newest: dict[str, int] = {}
    for position in positions:
        item = chunk.items[position]
        earlier, said, latest = newest.get(item.key), known.said(item, now=chunk.now), chunk.said.get(item.key, "")
        chunk.said[item.key] = max(said, latest)
        if earlier is None:
            newest[item.key] = position
        elif said and said < latest:
            chunk.settle(position, "older")
        else:
            chunk.settle(earlier, "older")
            newest[item.key] = position
    return sorted(newest.values())


def _whose(chunk: _Chunk, positions: Sequence[int]) -> list[tuple[int, Linked]]:
    """Find the persons; who is not known waits, who contradicts is refused, who is protected is hidden at once."""
    asking = [item.identity for item in chunk.items if item.identity.not_disclosed and item.identity.value]
    identities = [chunk.items[position].identity for position in positions]
    people = linked(chunk.records, [*identities, *asking], now=chunk.now)
    chunk.records.linked = frozenset(who.subject for who in people.values())
    ready, waiting = [], []
    for position, identity in zip(positions, identities, strict=True):
        who = people.get(digest_of(identity.system, identity.value))
        if who is None:
            waiting.append(position)
        elif differing := contradictions(identity, who.patient):
            chunk.settle(position, "refused", [say("contradicts", what=", ".join(differing))])
        else:
            ready.append((position, who))
    lost = [identity for identity in asking if digest_of(identity.system, identity.value) not in people]
    shut = resolving.shut(chunk.records, [*lost, *(chunk.items[position].identity for position in waiting)])
    whose = {digest: who.subject for digest, who in people.items()} | {d: subject for d, (_, subject) in shut.items()}
    _hide(chunk, asking, whose)
    lost = [identity for identity in lost if digest_of(identity.system, identity.value) not in shut]
    _wait(chunk, waiting, lost, {digest: number for digest, (number, _) in shut.items()})
    return ready


def _hide(chunk: _Chunk, asking: Iterable[Identity], whose: Mapping[bytes, UUID]) -> None:
    """Every line that asks for it is heard, also one that is refused; and what asked for it while it waited."""
    asked = {digest_of(identity.system, identity.value) for identity in asking}
    hidden = {whose[digest] for digest in (*asked.intersection(whose), *queue.protected(chunk.source, whose))}
    if hidden:
        protection.told(subjects=hidden, organization=chunk.source.organization, by=chunk.source.by, now=chunk.now)


def _wait(chunk: _Chunk, positions: Sequence[int], asking: Sequence[Identity], shut: Mapping[bytes, int]) -> None:
    if not chunk.source.feed.WAITS:
        for position in positions:
            chunk.settle(position, "refused", [say("person-not-linked")])
        return
    items = [chunk.items[position] for position in positions]
    dismissed = queue.park(chunk.source, items, asking, shut, now=chunk.now)
    for position in positions:
        identity = chunk.items[position].identity
        if digest_of(identity.system, identity.value) in dismissed:
            chunk.settle(position, "refused", [say("person-dismissed")])
        else:
            chunk.settle(position, "waiting")


def _news(chunk: _Chunk, ready: Sequence[tuple[int, Linked]]) -> list[_Todo]:
    """What says something that is not known yet."""
    digests = {position: known.digest_of(chunk.items[position].key) for position, _ in ready}
    before = known.of(chunk.source, digests.values())
    todo, later = [], {}
    for position, who in ready:
        item, digest = chunk.items[position], digests[position]
        content, earlier, said = known.content_of(chunk.source.feed, item), before.get(digest), chunk.said[item.key]
        if earlier is None:
            todo.append(_Todo(position, item, who, digest, content, None))
        elif said and said < earlier.said_at:
            chunk.settle(position, "older", [say("older-than-known")])
        elif earlier.content == content and earlier.subject == who.subject:
            chunk.out.unchanged += len(earlier.names)
            chunk.settle(position, "unchanged")
            if said > earlier.said_at:
                later[digest] = said
        else:
            moved = earlier.subject != who.subject
            salt = f"number:{who.number}" if moved else earlier.salt
            todo.append(_Todo(position, item, who, digest, content, earlier, salt))
    known.said_later(chunk.source, later)
    return todo


def _mapped(chunk: _Chunk, todo: Iterable[_Todo]) -> list[_Todo]:
    """What each becomes; what cannot be mapped is refused."""
    today = rules.today_in_japan(chunk.now)
    office = chunk.source.organization
    good = []
    for one in todo:
        if not one.item.deleted:
            about = About(one.who.subject, office.pk, office.code, office.name, today)
            mapped = chunk.source.feed.resources(one.item, about=about)
            one.resources, one.problems = mapped.resources, mapped.problems
        foreign = {r["resourceType"] for r in one.resources} & _NOT_A_FEEDS
        if foreign or errors(one.problems):
            more = [say("wrong-ids", type=", ".join(sorted(foreign)))] if foreign else []
            chunk.settle(one.position, "refused", [*one.problems, *more])
            continue
        if one.salt:
            own = Renamed.by(one.salt, one.resources)
            one.resources = [own(resource) for resource in one.resources]
        good.append(one)
    return good


def _renewed(chunk: _Chunk, one: _Todo, there: set[str]) -> bool:
    """Write what changed of one Item, and take back what it says no more; all of it or nothing."""
    before = set(one.before.names) if one.before else set()
    new = [resource for resource in one.resources if _name(resource) not in there]
    counts: Counter[str] = Counter()
    try:
        with transaction.atomic():
            for resource in one.resources:
                if _name(resource) in there:
                    _note(one, counts, _name(resource), changed=_renew(chunk.records, resource), what="updated")
            for name in sorted(before - set(one.names)):
                _note(one, counts, name, changed=chunk.records.retire(name), what="retracted")
            if new:
                for error in chunk.records.deposit([new], trail=lambda _: []).values():
                    raise error
    except Rejected as error:
        one.written.clear()
        chunk.settle(one.position, "refused", [*one.problems, _told(error, one)])
        return False
    one.written += [_name(resource) for resource in new]
    chunk.out.created += len(new)
    chunk.out.updated += counts["updated"]
    chunk.out.retracted += counts["retracted"]
    chunk.out.unchanged += counts["unchanged"]
    chunk.settle(one.position, "stored", one.problems)
    return True


def _renew(records: Depositing, resource: Resource) -> bool:
    try:
        return records.renew(resource)
    except Gone:  # its owner deleted it
        return False


def _note(one: _Todo, counts: Counter[str], name: str, *, changed: bool, what: str) -> None:
    counts[what if changed else "unchanged"] += 1
    if changed:
        one.written.append(name)


def _shared(chunk: _Chunk, plain: Iterable[_Todo], there: set[str]) -> None:
    """Bring what many Items share up to date, once."""
    met = {_name(r): r for one in plain for r in one.resources if _name(r) in there}
    for resource in met.values():
        try:
            with transaction.atomic():
                chunk.out.updated += _renew(chunk.records, resource)
        except Rejected:  # what stands there serves as well
            continue


def _created(chunk: _Chunk, fresh: Sequence[_Todo], changed: Sequence[_Todo], there: set[str]) -> list[_Todo]:
    """Create all that is new at once, and say where all of it came from. Returns what was refused."""
    mine = set(there)
    groups = []
    for one in fresh:  # what two Items share is written once
        groups.append([r for r in one.resources if _name(r) not in mine])
        mine.update(one.names)

    def trail(names: Mapping[int, Names]) -> list[Resource]:
        told: dict[UUID, list[tuple[Item, Names]]] = {}
        for position, written in names.items():
            told.setdefault(fresh[position].who.subject, []).append((fresh[position].item, written))
        for one in changed:
            if one.written:
                told.setdefault(one.who.subject, []).append((one.item, one.written))
        source, protected = chunk.source, marked(r for one in (*fresh, *changed) for r in one.resources)
        return [
            provenance(subject, lines, source=source, now=chunk.now)
            for subject, all_lines in told.items()
            for lines in (only(all_lines, protected, within=False), only(all_lines, protected, within=True))
            if lines
        ]

    refused = chunk.records.deposit(groups, trail=trail) if fresh or changed else {}
    for position, one in enumerate(fresh):
        if position in refused:
            chunk.settle(one.position, "refused", [*one.problems, _told(refused[position], one)])
            continue
        one.written = [_name(r) for r in groups[position]]
        chunk.out.created += len(one.written)
        chunk.settle(one.position, "stored", one.problems)
    return [fresh[position] for position in refused]


def _confirm(chunk: _Chunk, todo: Iterable[_Todo]) -> None:
    """The record of having checked who provided it, and how they came by it (APPI Art. 30)."""
    resources: Counter[UUID] = Counter()
    for one in todo:
        resources[one.who.subject] += len(one.written)
    office, run = chunk.source.organization, chunk.source.run
    provider_records.confirm_many(
        organization=office, acquired="from-a-municipality" if office.kind == "municipality" else "from-care",
        resources=+resources, run=run.pk if run else None, sha256=chunk.source.sha256, now=chunk.now,
    )  # fmt: skip


def _told(error: Rejected, one: _Todo) -> Problem:
    """Why the record does not keep it: place and kind, never a value."""
    kinds = ", ".join(dict.fromkeys(r["resourceType"] for r in one.resources))
    if isinstance(error, Forbidden):
        return say("left-out", type=kinds, count=len(one.resources))
    if isinstance(error, Invalid):
        return say("not-stored", type=kinds, where=", ".join(p.expression for p in error.problems[:3]))
    return say("not-stored", type=kinds, where=str(getattr(error, "expression", "")))


def _placed(problem: Problem, item: Item, numbers: Mapping[str, int]) -> Problem:
    """With the line, and the piece where there are several."""
    part = problem.part if problem.part is not None else numbers.get(item.piece)
    return replace(problem, line=problem.line if problem.line is not None else item.line, part=part)


def _name(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"
