"""Transactions: all entries or none, in the steps of R4 http.html §3.1.0.11.2, whatever the order they came in.

1. All conditions are locked, those of deletions, updates and patches are resolved, and what they name is locked.
2. DELETE. 3. The conditions of POST are resolved; every entry gets its name here; everything new is stored at once,
what refers to others by a condition after the rest.
4. PUT and PATCH, by name. 5. GET and HEAD.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.http import HttpRequest

from phr.fhir import entries, inner, patch_bodies, preconditions
from phr.fhir.carrying import admit, answer, condition, id_fits
from phr.fhir.door import admitted
from phr.fhir.entries import Entry
from phr.fhir.outcome import InEntry, Problem
from phr.fhir.resolve import Find, Names, base_of, rewritten
from phr.records.gateway import Match, NotFound, OtherId, PreconditionFailed, Records, Rejected, Stored
from phr.records.search.parse import Query


@transaction.atomic
def carry_out(request: HttpRequest, records: Records, raw: list[Any], prefer: str) -> list[bytes]:
    """Carry out all entries; returns the response entries in the order of the entries. Raises InEntry."""
    read = []
    for position, item in enumerate(raw):
        with at(position):
            read.append(entries.read(position, item))
    entries.limited(read)
    if again := entries.refuse_twice(read):
        _refuse_twice(again.position)
    done = _Transaction(request, records, read, prefer)
    done.resolve()
    done.delete()
    done.create()
    done.change()
    done.ask()
    return [done.answers[position] for position in range(len(read))]


@contextmanager
def at(position: int) -> Iterator[None]:
    """Whatever is refused inside is refused with the place of its entry."""
    try:
        yield
    except InEntry:
        raise
    except Exception as error:
        raise InEntry(position, error) from error


def _refuse_twice(position: int) -> None:
    problem = Problem(400, "duplicate", "同じ対象が二度あります。The same target stands twice.")
    raise InEntry(position, problem) from problem


class _Later(Exception):
    """A reference by a condition, which is resolved when everything without one is stored."""


class _Transaction:
    """One transaction under way."""

    def __init__(self, request: HttpRequest, records: Records, read: list[Entry], prefer: str) -> None:
        self.request, self.records, self.read, self.prefer = request, records, read, prefer
        self.answers: dict[int, bytes] = {}
        self.conditions: dict[int, Query] = {}
        self.found: dict[int, Stored | None] = {}  # what the conditions find, by position
        self.standing: set[tuple[str, str]] = set()  # what is there of what entries name
        self.names = Names()
        self.referred: dict[str, str] = {}  # what conditional references find

    def of(self, *methods: str) -> list[Entry]:
        """The entries that write by these methods, by name and condition, the same for everybody: then two
        transactions over the same resources wait for each other instead of both being stuck."""
        chosen = [entry for entry in self.read if not entry.asks and entry.method in methods]
        return sorted(chosen, key=lambda e: (e.type, e.id or "", e.condition or ""))

    def tell(self, entry: Entry, status: int, stored: Stored | None) -> None:
        self.answers[entry.position] = answer(status, stored, prefer=self.prefer, records=self.records)

    # -- step 1 -------------------------------------------------------------------------------------

    def resolve(self) -> None:
        """Conditions that change something are resolved before anything is changed (§3.1.0.11.2)."""
        for entry in self.of(*entries.WRITES):
            with at(entry.position):
                admit(self.records, entry)
                if entry.method == "PUT" and entry.id is not None:
                    id_fits(entry)
                if (asked := condition(self.records, entry)) is not None:
                    self.conditions[entry.position] = asked
        if self.conditions:
            wanted = ((e.position, e.resource if e.method in ("POST", "PUT") else None) for e in self.read)
            self.records.hold((self.conditions[p], r) for p, r in wanted if p in self.conditions)
        self._find("DELETE", "PUT", "PATCH")
        named: dict[tuple[str, str], int] = {}
        for entry in sorted(self.of("DELETE", "PUT", "PATCH"), key=lambda e: e.position):
            if (id := self.target(entry)) is not None:
                if (entry.type, id) in named:
                    _refuse_twice(entry.position)
                named[entry.type, id] = entry.position
        self.standing = self.records.lock_all(named)

    def _find(self, *methods: str) -> None:
        for entry in self.of(*methods):
            if (asked := self.conditions.get(entry.position)) is not None:
                with at(entry.position):
                    self.found[entry.position] = self.records.matching(asked)

    def target(self, entry: Entry) -> str | None:
        """The id that an entry changes, where that is known."""
        found = self.found.get(entry.position)
        return entry.id if entry.id is not None else found.id if found is not None else None

    def match(self, entry: Entry) -> Match | None:
        found = self.found.get(entry.position)
        return None if found is None else Match(self.conditions[entry.position], found)

    # -- step 2 -------------------------------------------------------------------------------------

    def delete(self) -> None:
        for entry in self.of("DELETE"):
            with at(entry.position):
                id = self.target(entry)
                if id is None and entry.if_match is not None:
                    raise PreconditionFailed("nothing matches the condition")
                gone = None
                if id is not None:
                    gone = self.records.delete(entry.type, id, if_match=entry.if_match, match=self.match(entry))
                self.tell(entry, 204, gone)

    # -- step 3 -------------------------------------------------------------------------------------

    def create(self) -> None:
        """Ids are given before anything is stored, so that entries may refer to each other in any direction."""
        self._find("POST")
        fresh = self._named_anew()
        named = {entry.position for entry, _ in fresh}
        for entry in sorted(self.of("POST", "PUT", "PATCH"), key=lambda e: e.position):
            with at(entry.position):
                if (id := self._called(entry)) is not None and entry.position not in named:
                    fresh.append((entry, id))
        # What refers by a condition comes second: the condition may find what has just been stored.
        second = self._store(fresh, self._later)
        self._store(second, self._refer)

    def _store(self, fresh: list[tuple[Entry, str]], find: Find) -> list[tuple[Entry, str]]:
        """Store new resources at once; returns those of which `find` puts off a reference."""
        drafts, chosen, put_off = [], [], []
        for entry, id in fresh:
            with at(entry.position):
                try:
                    drafts.append(self.rewritten(entry, find) | {"id": id})
                    chosen.append(entry)
                except _Later:
                    put_off.append((entry, id))
        try:
            stored = self.records.create_all(drafts, keep_ids=True) if drafts else []
        except Rejected as error:
            raise InEntry(chosen[error.at or 0].position, error) from error
        for entry, created in zip(chosen, stored, strict=True):
            self.tell(entry, 201, created)
        return put_off

    def _named_anew(self) -> list[tuple[Entry, str]]:
        """Updates that create under an id of the client's own, so that they are stored with the rest."""
        absent = []
        for entry in self.of("PUT"):
            if entry.id is not None and (entry.type, entry.id) not in self.standing:
                with at(entry.position):
                    if entry.if_match is not None:
                        raise PreconditionFailed("there is no current version")
                    self.records.own(entry.type, entry.id)
                absent.append((entry, entry.id))
        names = [(entry.type, id) for entry, id in absent]
        self.records.claim(names)
        self.standing |= self.records.lock_all(names)  # if others were faster
        return [(entry, id) for entry, id in absent if (entry.type, id) not in self.standing]

    def _called(self, entry: Entry) -> str | None:
        """Give an entry its name here; returns the new id of one that is to be created in this step."""
        found, resource = self.found.get(entry.position), entry.resource or {}
        if entry.method == "POST":
            if found is not None:
                self.names.give(entry.full_url, found.reference)
                self.tell(entry, 200, found)
                return None
            return self._born(entry)
        if entry.method == "PUT" and found is not None and resource.get("id") not in (None, found.id):
            raise OtherId(f"the condition finds {found.reference}, not the id in the body", f"{entry.type}.id")
        id = self.target(entry)
        if id is None and entry.if_match is not None:
            raise PreconditionFailed("nothing matches the condition")
        if id is None and entry.method == "PATCH":
            raise NotFound(entry.type)
        if id is None and "id" not in resource:
            return self._born(entry)
        self.names.give(entry.full_url, f"{entry.type}/{id or resource.get('id')}")
        return None

    def _born(self, entry: Entry) -> str:
        id = str(uuid4())
        self.names.give(entry.full_url, f"{entry.type}/{id}", born=True)
        return id

    def rewritten(self, entry: Entry, find: Find) -> dict[str, Any]:
        return rewritten(entry.resource or {}, self.names, find, base=base_of(entry.full_url))

    def _later(self, type: str, text: str) -> str:
        if text in self.referred:
            return self.referred[text]
        raise _Later

    def _refer(self, type: str, text: str) -> str:
        """The one resource that a conditional reference finds. What the caller may not see is not found."""
        if text not in self.referred:
            admitted(self.records, type, "s")
            asked = preconditions.condition(type, text, now=self.records.now, name="reference")
            found = self.records.matching(asked)
            if found is None:
                told = f"参照先がありません。Nothing matches the reference {text[:60]}"
                raise Problem(412, "not-found", told)
            self.referred[text] = found.reference
        return self.referred[text]

    # -- step 4 -------------------------------------------------------------------------------------

    def change(self) -> None:
        pending = [e for e in self.of("PUT", "PATCH") if e.position not in self.answers]
        for entry in sorted(pending, key=lambda e: (e.type, self.target(e) or "")):
            with at(entry.position):
                if entry.method == "PATCH":
                    self._patch(entry)
                else:
                    self._put(entry)

    def _patch(self, entry: Entry) -> None:
        change = patch_bodies.of_entry(self.rewritten(entry, self._refer))
        id = self.target(entry) or ""
        self.tell(
            entry, 200, self.records.patch(entry.type, id, change, if_match=entry.if_match, match=self.match(entry))
        )

    def _put(self, entry: Entry) -> None:
        resource, id = self.rewritten(entry, self._refer), self.target(entry)
        if id is None:  # a condition that finds nothing, and an id in the body
            self.tell(entry, 201, self.records.put_new(entry.type, resource))
            return
        stored, created = self.records.put(
            entry.type, id, resource | {"id": id}, if_match=entry.if_match, fresh=entry.fresh, match=self.match(entry)
        )
        self.tell(entry, 201 if created else 200, stored)

    # -- step 5 -------------------------------------------------------------------------------------

    def ask(self) -> None:
        for entry in entries.in_order(self.read):
            if entry.asks:
                with at(entry.position):
                    self.answers[entry.position] = inner.answer(self.request, self.records, entry)
