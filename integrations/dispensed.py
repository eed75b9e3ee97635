"""What was dispensed to a person, each dispensing once, with every source that told of it.

Two tellings with the same exact key are one. Two from different tellers (a pharmacy's claim, the family's notebook, a
hospital) that share a loose key are taken for one: a proposal, that the owner may undo (`separate`) and redo (`join`).
Anybody may write a key: they are one only where drug, day and amount agree, and what was told first is shown.
Where one of them leaves out the amount, it is a proposal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from consent import audit
from consent.audit import Event
from consent.decide import Caller
from integrations.models import KeptApart
from integrations.same_dispense import keys_of
from phr.records import body, dispensing, systems
from phr.records.dispensing import Said, alike
from phr.records.gateway import NotFound, Records, Stored

TYPES = ("MedicationDispense", "MedicationStatement")
MOST = 1000
WRONG = ("entered-in-error", "cancelled", "declined", "stopped")


@dataclass(frozen=True, slots=True)
class Source:
    """One telling. `claim`: read out of a bill."""

    found: Stored
    resource: dict[str, Any]

    @property
    def reference(self) -> str:
        return self.found.reference

    @property
    def claim(self) -> bool:
        tags = self.resource.get("meta", {}).get("tag", ())
        return any(tag.get("system") == systems.OWN_ORIGIN and tag.get("code") == systems.CLAIM for tag in tags)

    @property
    def teller(self) -> tuple[int | None, bool]:
        """Who told it, by which kind of channel: the same one does not tell of one dispensing twice."""
        return self.found.facts.author, self.claim

    @property
    def rank(self) -> tuple[bool, datetime]:
        """The words of a pharmacy or a family before those of a bill or a remark; of these, what was told first."""
        return self.claim or self.found.type != "MedicationDispense", self.found.updated_at

    @property
    def said(self) -> Said:
        return dispensing.said(self.resource)

    def keys(self, system: str) -> set[str]:
        return set(keys_of(self.resource.get("identifier", ()), system))


@dataclass(slots=True)
class Entry:
    """One dispensing. The first source is what is shown; `loose`: some are joined without proof."""

    sources: list[Source] = field(default_factory=list)
    loose: bool = False

    @property
    def shown(self) -> Source:
        return self.sources[0]


def entries(sources: Iterable[Source], apart: Collection[str]) -> list[Entry]:
    """Each dispensing once, in the order given; what is kept apart stands alone. Pure."""
    whole = list(sources)
    ranked = sorted(whole, key=lambda s: s.rank)
    alone = [Entry([s]) for s in ranked if s.reference in apart]
    joined = _by_loose_key(_by_exact_key([s for s in ranked if s.reference not in apart]))
    place = {source.reference: number for number, source in enumerate(whole)}
    return sorted([*alone, *joined], key=lambda e: min(place[s.reference] for s in e.sources))


def _by_exact_key(sources: Sequence[Source]) -> list[Entry]:
    made: list[Entry] = []
    by_key: dict[str, list[Entry]] = {}
    for source in sources:
        keys = sorted(source.keys(systems.DISPENSE_KEY))
        known = (entry for key in keys for entry in by_key.get(key, ()) if alike(entry.shown.said, source.said))
        entry = next(known, None)
        if entry is None:
            made.append(Entry([source]))
            for key in keys:
                by_key.setdefault(key, []).append(made[-1])
        else:
            entry.loose |= entry.shown.said.amount != source.said.amount  # one leaves it out
            entry.sources.append(source)
    return made


def _by_loose_key(given: Sequence[Entry]) -> list[Entry]:
    """Join an entry to the first that shares a loose key and in which none of its tellers has spoken."""
    made: list[Entry] = []
    by_key: dict[str, list[Entry]] = {}
    for entry in given:
        keys = set[str]().union(*(s.keys(systems.DISPENSE_LOOSE_KEY) for s in entry.sources))
        tellers = {s.teller for s in entry.sources}
        same = (e for key in sorted(keys) for e in by_key.get(key, ()) if not tellers & {s.teller for s in e.sources})
        known = next((e for e in same if alike(e.shown.said, entry.shown.said)), None)
        if known is None:
            made.append(entry)
            known = entry
        else:
            known.sources += entry.sources
            known.loose = True
        for key in keys:
            by_key.setdefault(key, []).append(known)
    return made


# The record


def read(records: Records, subject: UUID) -> tuple[list[Source], bool]:
    """What this caller may see of dispensings, newest first, and whether there is more. Who tells of it writes the log.

    A MedicationStatement counts where it tells of a dispensing: where it bears a loose key.
    """
    found, more = records.newest(subject, TYPES, most=MOST)
    own = (Source(one, body.parse(one.body or b"{}")) for one in found if one.facts.subjects[:1] == (subject,))
    return [source for source in own if _is_dispensing(source)], more


def _is_dispensing(source: Source) -> bool:
    if source.resource.get("status") in WRONG:
        return False
    return source.found.type == "MedicationDispense" or bool(source.keys(systems.DISPENSE_LOOSE_KEY))


def merged(records: Records, subject: UUID) -> tuple[list[Entry], bool]:
    """Each dispensing of a person once, as the owner left it; see `read`."""
    sources, more = read(records, subject)
    return entries(sources, kept_apart(subject)), more


def kept_apart(subject: UUID) -> set[str]:
    return set(KeptApart.objects.filter(subject=subject).values_list("name", flat=True))


@transaction.atomic
def separate(records: Records, reference: str, *, subject: UUID, by: Caller, now: datetime) -> None:
    """Show this telling by itself from now on. Raises NotFound for what is no telling that the caller may see."""
    _visible(records, reference, subject)
    made = {"separated_by_id": by.person, "since": now}
    if KeptApart.objects.get_or_create(subject_id=subject, name=reference, defaults=made)[1]:
        _told(Event.DISPENSE_SEPARATED, reference, subject=subject, by=by, now=now)


@transaction.atomic
def join(records: Records, reference: str, *, subject: UUID, by: Caller, now: datetime) -> None:
    """Let it be shown with what is the same again. Raises NotFound."""
    _visible(records, reference, subject)
    if KeptApart.objects.filter(subject_id=subject, name=reference).delete()[0]:
        _told(Event.DISPENSE_JOINED, reference, subject=subject, by=by, now=now)


def _visible(records: Records, reference: str, subject: UUID) -> None:
    type, _, id = reference.partition("/")
    if type not in TYPES:
        raise NotFound(reference)
    found = records.read(type, id)
    if found.facts.subjects[:1] != (subject,):
        raise NotFound(reference)


def _told(event: Event, reference: str, *, subject: UUID, by: Caller, now: datetime) -> None:
    type, _, id = reference.partition("/")
    audit.record(event, by=by, subject=subject, now=now, detail={"type": type, "id": id})
