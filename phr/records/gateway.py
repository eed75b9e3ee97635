"""Records: the only door to patient data. Bound to a caller, so scoping cannot be forgotten.

Writing is one transaction: validate -> facts -> decide -> index -> seal -> store -> change row -> audit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self
from uuid import uuid4

from django.db import IntegrityError, transaction

from consent.audit import Event
from consent.decide import Caller, InForce
from consent.in_force import in_force_for
from phr.records import body, locks, marking, naming, store, vault
from phr.records.admission import at, same_content, subject_element
from phr.records.compartments import Compartments
from phr.records.conditions import Conditions, Match, accountable
from phr.records.histories import Histories, Past
from phr.records.knowing import Knowing
from phr.records.linking import Linking
from phr.records.reading import Gone, NotFound, Page, Refused, TooCostly, open_permit
from phr.records.rejections import (
    Ambiguous,
    Conflict,
    Forbidden,
    Invalid,
    Kept,
    NotYours,
    OtherId,
    PreconditionFailed,
    Rejected,
    Spoilt,
    TooLarge,
    Unprocessable,
)
from phr.records.search.parse import Query
from phr.records.store import Draft, Stored
from phr.records.streaming import Streaming

__all__ = [
    "ANY_VERSION", "Ambiguous", "Conflict", "Forbidden", "Gone", "Invalid", "Kept", "Match", "NotFound", "NotYours",
    "OtherId", "Page", "Past", "PreconditionFailed", "Records", "Refused", "Rejected", "Spoilt", "Stored", "TooCostly",
    "TooLarge", "Unprocessable", "Versions",
]  # fmt: skip

ANY_VERSION = 0  # If-Match: *
MOMENT = timedelta(milliseconds=1)  # as precise as meta.lastUpdated
Versions = frozenset[int]
Change = Callable[[dict[str, Any]], dict[str, Any]]


class Records(Conditions, Histories, Compartments, Knowing, Linking, Streaming):
    """Patient records as one caller may see and write them."""

    @classmethod
    def opened_by(cls, caller: Caller, *, now: datetime, in_force: InForce | None = None) -> Self:
        """Decide, and open the record as far as the decision goes. Raises Refused (audited).

        `in_force`: what was read for this caller in this very request, if it was; else it is read here.
        """
        return cls(caller, open_permit(caller, in_force or in_force_for(caller, now=now), now=now), now=now)

    # -- create ---------------------------------------------------------------------------------

    def create(self, resource: dict[str, Any]) -> Stored:
        """Store one new resource under an id of ours. Raises Invalid, TooLarge, Forbidden, Unprocessable."""
        return self.create_all([resource])[0]

    @transaction.atomic
    def create_all(self, resources: Iterable[dict[str, Any]], *, keep_ids: bool = False) -> list[Stored]:
        """Store new resources, all or none, in order. `keep_ids` is for importers with ids of their own.

        Raises Invalid, TooLarge, Forbidden, Unprocessable, or Conflict where an id is taken.
        """
        drafts = []
        for position, resource in enumerate(resources):
            with at(position):
                own = resource["id"] if keep_ids and "id" in resource else str(uuid4())
                drafts.append(self._draft(resource, id=own, version=1, author=self.author))
        drafts = self._marked(drafts)
        self._admit(drafts, letter="c")
        self._enroll(drafts)
        try:
            pks = store.insert(drafts, now=self.now)
        except IntegrityError as error:  # Conflict leaves this transaction, and so undoes it
            raise Conflict("a resource with this id exists") from error
        written = [self._stored(pk, draft) for pk, draft in zip(pks, drafts, strict=True)]
        self._log_written(Event.RECORD_CREATED, written)
        return written

    @accountable
    @transaction.atomic
    def create_unless(self, resource: dict[str, Any], condition: Query) -> tuple[Stored, bool]:
        """Conditional create (R4 http.html §3.1.0.8.2): the one match, or a new resource and True."""
        self.hold([(condition, resource)])
        match = self.matching(condition)
        return (match, False) if match else (self.create(resource), True)

    def _marked(self, drafts: list[Draft], *, when: datetime | None = None) -> list[Draft]:
        """What an organisation writes bears the protective marks of what it refers to (G-12, G-13)."""
        if self.author is None:
            return drafts  # the family's own words; and they must not tell whether something hidden is there
        return [
            draft if code is None else self._draft(
                marking.with_mark(body.parse(draft.body), code), id=draft.facts.id, version=draft.version,
                author=draft.facts.author, when=when,
            )
            for draft, code in zip(drafts, marking.inherited(drafts), strict=True)
        ]  # fmt: skip

    # -- update ---------------------------------------------------------------------------------

    @transaction.atomic
    def update(
        self,
        type: str,
        id: str,
        resource: dict[str, Any],
        *,
        if_match: Versions | int | None = None,
        match: Match | None = None,
    ) -> Stored:
        """Store the next version; the same content again writes nothing. Raises NotFound, PreconditionFailed …

        `match`: the condition by which the id was found; if the resource has changed since, it is asked again.
        """
        current = self._writable(type, id, letter="u")
        self._still(match, current)
        _matches(current, if_match)
        return self._replace(current, resource)

    @transaction.atomic
    def put(
        self,
        type: str,
        id: str,
        resource: dict[str, Any],
        *,
        if_match: Versions | None = None,
        fresh: bool = False,
        match: Match | None = None,
    ) -> tuple[Stored, bool]:
        """Update; or bring back to life, or create under an id of the caller's own (§3.1.0.4.1), and True.

        `fresh`: only where nothing stands (If-None-Match: *). Raises NotYours for an id that is not the caller's
        to give, Conflict for one that is taken out of the caller's sight, and as `update`.
        """
        current = self._there(type, id, letter="u")
        if current is None:
            if if_match is not None:
                raise PreconditionFailed("there is no current version")
            self.claim([(type, id)])
            current = self._there(type, id, letter="u")  # if somebody else was faster
        if current is None:
            return self.create_all([resource], keep_ids=True)[0], True
        self._still(match, current)
        _matches(current, if_match)
        if fresh and not current.deleted:
            raise PreconditionFailed(f"the current version is {current.version}")
        return self._replace(current, resource), current.deleted

    @accountable
    @transaction.atomic
    def put_where(
        self, condition: Query, resource: dict[str, Any], *, if_match: Versions | None = None, fresh: bool = False
    ) -> tuple[Stored, bool]:
        """Conditional update (§3.1.0.4.3). Raises OtherId, Ambiguous, and as `put`."""
        self.hold([(condition, resource)])
        found = self.matching(condition)
        given = resource.get("id")
        if found is not None:
            if given not in (None, found.id):
                raise OtherId(f"the condition finds {found.reference}, not the id in the body", f"{found.type}.id")
            named = {**resource, "id": found.id}
            match = Match(condition, found)
            return self.put(found.type, found.id, named, if_match=if_match, fresh=fresh, match=match)
        if if_match is not None:
            raise PreconditionFailed("nothing matches the condition")
        return self.put_new(condition.type, resource), True

    def put_new(self, type: str, resource: dict[str, Any]) -> Stored:
        """What a conditional update creates where nothing matches: under the id in the body, or one of ours."""
        given = resource.get("id")
        if given is None:
            return self.create(resource)
        name = given if isinstance(given, str) else ""
        if self.sees(type, name):
            raise Conflict(f"{type}/{name} is there, and does not match the condition")
        self.claim([(type, name)])
        return self.create_all([resource], keep_ids=True)[0]

    def own_prefix(self, type: str) -> str:
        """What the ids begin with that this caller may give; empty where ids are the server's."""
        if type == "Patient":
            return ""  # the id of a Patient is the id of a person
        return naming.prefix_of(self.caller, author=self.author, key=vault.index_key())

    def claim(self, names: Iterable[tuple[str, str]]) -> None:
        """Let nobody else create under these (type, id) until the transaction ends; all at once. Raises NotYours."""
        named = list(names)
        for type, id in named:
            self.own(type, id)
        if named:
            locks.hold_names(self.own_prefix(named[0][0]), (f"{type}/{id}" for type, id in named))

    def own(self, type: str, id: str) -> None:
        """Raises NotYours for an id that this caller may not give."""
        prefix = self.own_prefix(type)
        if not prefix or not id.startswith(prefix):
            raise NotYours(prefix)

    def _replace(self, current: Stored, resource: dict[str, Any]) -> Stored:
        kept = self._with_labels(resource, current)
        when = self._after(current)
        draft = self._draft(kept, id=current.id, version=current.version + 1, author=current.facts.author, when=when)
        if set(draft.facts.subjects) != set(current.facts.subjects):
            place = f"{current.type}.{subject_element(current.type)}"
            raise Unprocessable("a resource never moves to another person", expression=place)
        [draft] = self._marked([draft], when=when)
        self._admit([draft], letter="u")
        if not current.deleted and same_content(draft.body, current.body):
            self._log(Event.RECORD_READ, current)
            return current
        store.replace(current, draft, now=when)
        written = self._stored(current.pk, draft, when=when)
        self._log_written(Event.RECORD_UPDATED, [written])
        return written

    def _after(self, current: Stored) -> datetime:
        """When the next version is written: later than the current one, even if that request began after this."""
        return max(self.now, current.updated_at + MOMENT)

    # -- patch ----------------------------------------------------------------------------------

    @accountable
    @transaction.atomic
    def patch(
        self, type: str, id: str, change: Change, *, if_match: Versions | None = None, match: Match | None = None
    ) -> Stored:
        """Store what `change` makes of the current version as it is shown (R4 http.html §3.1.0.6).

        Raises NotFound, Gone, PreconditionFailed, Spoilt where the result is no sound resource, and what
        `change` raises. Whoever patches must be allowed to read: a patch asks about what it changes.
        """
        current = self._writable(type, id, letter="u")
        self._still(match, current)
        _matches(current, if_match)
        if not self.scope.covers(current.facts, letter="r", rows=self._grant_rows([current.facts])):
            raise Forbidden(f"{type} may be written, but not read, by this caller")
        if current.deleted:
            raise Gone(current.reference)
        self._looks.append(partial(self._log, Event.RECORD_READ, current))
        changed = change(self._as_shown(current))
        if (changed.get("resourceType"), changed.get("id")) != (type, id):
            raise Unprocessable("a patch changes neither type nor id", expression=f"{type}.id")
        try:
            return self._replace(current, changed)
        except Invalid as error:
            raise Spoilt(error.problems) from error

    @accountable
    @transaction.atomic
    def patch_where(self, condition: Query, change: Change, *, if_match: Versions | None = None) -> Stored:
        """Conditional patch: the one match. Raises NotFound where nothing matches, Ambiguous, and as `patch`."""
        self.hold([(condition, None)])
        found = self.matching(condition)
        if found is None:
            raise NotFound(condition.type)
        return self.patch(found.type, found.id, change, if_match=if_match, match=Match(condition, found))

    # -- delete ---------------------------------------------------------------------------------

    @transaction.atomic
    def delete(
        self, type: str, id: str, *, if_match: Versions | int | None = None, match: Match | None = None
    ) -> Stored | None:
        """Delete; every version stays readable by number. None where there was nothing to delete. Raises Kept."""
        self.deletable(type)
        current = self._there(type, id, letter="d")
        if current is None:
            if if_match is not None:
                raise PreconditionFailed("there is no current version")
            return None
        self._still(match, current)
        _matches(current, if_match)
        if current.deleted:
            return current
        when = self._after(current)
        store.remove(current, now=when)
        gone = replace(current, version=current.version + 1, deleted=True, body=None, updated_at=when)
        self._log_written(Event.RECORD_DELETED, [gone])
        return gone

    @staticmethod
    def deletable(type: str) -> None:
        """Raises Kept, whatever is there: without its Patient a record is closed to everyone, the person included."""
        if type == "Patient":
            raise Kept(type)

    @accountable
    @transaction.atomic
    def delete_where(self, condition: Query, *, if_match: Versions | None = None) -> Stored | None:
        """Conditional delete of the one match (§3.1.0.7.1); None where nothing matches. Raises Ambiguous, Kept."""
        self.deletable(condition.type)
        self.hold([(condition, None)])
        found = self.matching(condition)
        if found is not None:
            return self.delete(found.type, found.id, if_match=if_match, match=Match(condition, found))
        if if_match is not None:
            raise PreconditionFailed("nothing matches the condition")
        return None

    def _there(self, type: str, id: str, *, letter: str) -> Stored | None:
        try:
            return self._writable(type, id, letter=letter)
        except NotFound:
            return None

    def _writable(self, type: str, id: str, *, letter: str) -> Stored:
        """The current version, locked. Raises NotFound, or Forbidden where the caller may see it but not change it."""
        try:
            current = self._current(type, id, letter=letter, lock=True)
        except NotFound:
            self._current(type, id, letter="r")
            current = self._just_come(type, id, letter=letter)
        if not current.facts.subjects and current.facts.author != self.author:
            raise Forbidden(f"{type}/{id} was written by another organisation")
        return current

    def _just_come(self, type: str, id: str, *, letter: str) -> Stored:
        """What somebody has created between two looks. Raises Forbidden where it was there, and not to be changed."""
        try:
            return self._current(type, id, letter=letter, lock=True)
        except NotFound:
            raise Forbidden(f"{type}/{id} may not be changed by this caller") from None


def _matches(current: Stored, if_match: Versions | int | None) -> None:
    """If-Match (RFC 9110 §13.1.1): one of these versions, or any that is not deleted."""
    wanted = {if_match} if isinstance(if_match, int) else if_match
    if wanted is None or current.version in wanted or (ANY_VERSION in wanted and not current.deleted):
        return
    raise PreconditionFailed(f"the current version is {current.version}")
