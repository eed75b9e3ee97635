"""The record as an organisation fills it with what it authored, for the people its numbers are linked with.

A link lets it deposit, nothing more: what it may read is decided as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import IntegrityError, transaction

from consent import prepared
from consent.audit import Event
from consent.decide import Caller
from consent.scope import Door, Mark
from integrations import retiring
from integrations.incoming import Resource
from phr.records import body, second_opinion, store
from phr.records.gateway import Conflict, Forbidden, Gone, NotFound, Records, Rejected, Unprocessable
from phr.records.store import Draft, Stored

Names = Sequence[str]
PROTECTIVE = int(Mark.MINOR_CONFIDENTIAL | Mark.CHILD_PROTECTION)
_THERE = """
SELECT r.type || '/' || r.fhir_id FROM phr_resource r
 WHERE (r.type, r.fhir_id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""


class Depositing(Records):
    """The record as one organisation may fill it. `linked`: the living persons its numbers name."""

    linked: frozenset[UUID] = frozenset()

    @classmethod
    def opened_for(cls, caller: Caller, *, now: datetime) -> Self:
        """As the token says, and with leave to tell where each thing came from. Raises Refused (audited)."""
        doors = caller.doors
        if not any(door.type == "*" and "c" in door.letters and not door.terms for door in doors):
            doors = (*doors, Door("Provenance", "c"))
        return cls.opened_by(replace(caller, doors=doors), now=now)

    def _unseen(self, subjects: set[UUID]) -> set[UUID]:
        rest = subjects - self.linked
        return super()._unseen(rest) if rest else set()

    def there(self, names: Collection[str]) -> set[str]:
        """Which of these "Type/id" are taken, by whomever: the ids are made here, so that says nothing to anybody."""
        if not names:
            return set()
        types, ids = zip(*(name.split("/") for name in names), strict=True)
        return {row[0] for row in prepared.fetch(_THERE, [list(types), list(ids)])}

    def deposit(
        self, groups: Sequence[Sequence[Resource]], *, trail: Callable[[Mapping[int, Names]], list[Resource]]
    ) -> dict[int, Rejected]:
        """Create what the groups hold, and the Provenance `trail` makes of what is stored of each group.

        A group is stored whole or not at all; returns why not, by its position. Raises Conflict where an id was taken
        meanwhile. Call inside a transaction.
        """
        refused: dict[int, Rejected] = {}
        drafts: dict[int, list[Draft]] = {}
        for position, group in enumerate(groups):
            try:
                drafts[position] = [self._fresh(resource) for resource in group]
            except Rejected as error:
                refused[position] = error
        drafts = self._let_in(drafts, refused)
        told = trail({position: [_name(d) for d in group] for position, group in drafts.items() if group})
        everything = [d for group in drafts.values() for d in group]
        marked = [d for d in everything if d.facts.marks & PROTECTIVE]  # what tells of these bears their mark
        provenance = self._marked([*marked, *(self._fresh(resource) for resource in told)])[len(marked) :]
        self._admit(provenance, letter="c")
        try:
            with transaction.atomic():
                pks = store.insert([*everything, *provenance], now=self.now)
        except IntegrityError as error:
            raise Conflict("a resource with this id exists") from error
        written = [self._stored(pk, d) for pk, d in zip(pks, [*everything, *provenance], strict=True)]
        self._log_written(Event.RECORD_CREATED, written)
        return refused

    def _fresh(self, resource: Resource) -> Draft:
        return self._draft(resource, id=resource["id"], version=1, author=self.author)

    def _let_in(self, drafts: dict[int, list[Draft]], refused: dict[int, Rejected]) -> dict[int, list[Draft]]:
        """Mark and admit; what is not admitted leaves with its group."""
        while True:
            places = [position for position, group in drafts.items() for _ in group]
            marked = self._marked([d for group in drafts.values() for d in group])
            try:
                self._admit(marked, letter="c")
            except Rejected as error:
                position = places[error.at or 0]
                refused[position] = error
                del drafts[position]
                continue
            out: dict[int, list[Draft]] = {position: [] for position in drafts}
            for position, draft in zip(places, marked, strict=True):
                out[position].append(draft)
            return out

    def renew(self, resource: Resource) -> bool:
        """Whether another version was written of what this organisation has deposited before. One deleted stays so.

        Raises Rejected, or Gone.
        """
        before = self._mine(resource["resourceType"], resource["id"])
        return self._replace(before, resource).version > before.version

    def retire(self, name: str) -> bool:
        """Whether what was said is now entered in error; already so, or deleted by its owner, it stays as it is."""
        type, _, id = name.partition("/")
        try:
            before = self._mine(type, id)
        except Gone:
            return False
        retired = retiring.retired(body.parse(before.body or b"{}"))
        if retired is None:
            return self.delete(type, id) is not None if type in retiring.WITHOUT else False
        return self._replace(before, retired).version > before.version

    def _mine(self, type: str, id: str) -> Stored:
        try:
            found = self._writable(type, id, letter="u")
        except NotFound:
            raise Unprocessable("not this organisation's to change", expression=type) from None
        if found.facts.author != self.author:
            raise Forbidden(f"{type} was written by another organisation")
        if found.deleted:
            raise Gone(found.reference)
        return found


class Filing(Depositing):
    """As Depositing, for what mappings of our own make of Items, never for what a neighbour made: few shapes."""

    _second_opinion = staticmethod(second_opinion.Sampled().check)  # one for the process


def _name(draft: Draft) -> str:
    return f"{draft.facts.type}/{draft.facts.id}"
