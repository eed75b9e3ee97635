"""Bundles sent to the base: `transaction` (all or nothing) and `batch` (each on its own). R4 http.html §3.1.0.11."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import msgspec
from django.db import transaction

from phr.fhir import entries, outcome, preconditions, wire
from phr.fhir.entries import Entry
from phr.fhir.outcome import InEntry, Problem
from phr.fhir.resolve import rewritten
from phr.records.gateway import Forbidden, NotFound, Records, Rejected, Stored
from phr.records.search.parse import Query


def process(records: Records, content: Mapping[str, Any], *, prefer: str, request: Any = None) -> bytes:
    """Carry out a Bundle and return the response Bundle. Raises InEntry for the entry that failed a transaction."""
    kind = entries.kind_of(content)
    raw = entries.raw_entries(content)
    answers = _batch(records, raw, prefer) if kind == "batch" else _transaction(records, raw, prefer)
    return wire.bundle(f"{kind}-response", answers)


# -- batch ------------------------------------------------------------------------------------------


def _batch(records: Records, raw: list[Any], prefer: str) -> list[bytes]:
    answers = []
    for position, item in enumerate(raw):
        try:
            with transaction.atomic():
                answers.append(_carry_out(records, entries.read(position, item), prefer))
        except Exception as error:  # noqa: BLE001 - each entry answers for itself, by the same translator
            answers.append(_refusal(InEntry(position, error)))
    return answers


def _refusal(error: Exception) -> bytes:
    status, issues = outcome.explain(error)
    return b'{"response":{"status":"%d","outcome":%s}}' % (status, outcome.as_json(issues))


def _carry_out(records: Records, entry: Entry, prefer: str) -> bytes:
    match entry.method:
        case "GET":
            return _get(records, entry)
        case "DELETE":
            _needs(records, entry.type, "d")
            gone = records.delete(entry.type, entry.id or "", if_match=entry.if_match)
            return _answer("204", gone, prefer="minimal", records=records)
        case "PUT":
            _needs(records, entry.type, "u")
            return _answer("200", _put(records, entry), prefer=prefer, records=records)
    _needs(records, entry.type, "c")
    if entry.if_none_exist is not None:
        stored, created = records.create_unless(entry.resource or {}, _condition(records, entry))
        return _answer("201" if created else "200", stored, prefer=prefer, records=records)
    return _answer("201", records.create(entry.resource or {}), prefer=prefer, records=records)


def _put(records: Records, entry: Entry) -> Stored:
    if (entry.resource or {}).get("id") != entry.id:
        raise Problem(400, "invalid", "id が url と違います。The id is not the one in the url.", f"{entry.type}.id")
    try:
        return records.update(entry.type, entry.id or "", entry.resource or {}, if_match=entry.if_match)
    except NotFound:
        raise Problem(405, "not-supported", "新しい id での作成はできません。This server gives the ids.") from None


def _condition(records: Records, entry: Entry) -> Query:
    _needs(records, entry.type, "s")
    return preconditions.condition(entry.type, entry.if_none_exist or "", now=records.now)


def _get(records: Records, entry: Entry) -> bytes:
    if entry.id is None:
        return _search(records, entry)
    _needs(records, entry.type, "r")
    if entry.version is not None:
        found = records.vread(entry.type, entry.id, entry.version)
    else:
        found = records.read(entry.type, entry.id)
    return _answer("200", found, prefer="representation", records=records)


def _search(records: Records, entry: Entry) -> bytes:
    _needs(records, entry.type, "s")
    asked = wire.pairs(entry.query or "")
    query = wire.query(entry.type, asked, now=records.now, strict=False)
    page = records.search(query, cursor=query.page)
    content = wire.searchset(query, page, own=records.author, used=wire.used(query, asked))
    return b'{"resource":%s,"response":{"status":"200"}}' % content


def _needs(records: Records, type: str, letter: str) -> None:
    if not any(letter in d.letters and d.type in ("*", type) for d in records.scope.doors):
        raise Forbidden(f"the token does not cover {type} '{letter}'")


def _answer(status: str, stored: Stored | None, *, prefer: str, records: Records) -> bytes:
    response: dict[str, Any] = {"status": status}
    if stored is not None:
        response |= {"etag": wire.etag(stored.version), "lastModified": wire.instant(stored.updated_at)}
        if status in ("200", "201"):
            response["location"] = f"{stored.reference}/_history/{stored.version}"
    text = msgspec.json.encode({"response": response})
    if prefer != "representation" or stored is None or stored.body is None:
        return text
    return b'{"resource":%s,%s' % (wire.shown(stored, labels=records.shows_labels(stored)), text[1:])


# -- transaction -------------------------------------------------------------------------------------


@contextmanager
def _at(position: int) -> Iterator[None]:
    """Whatever is refused inside is refused with the place of its entry."""
    try:
        yield
    except Exception as error:
        raise InEntry(position, error) from error


@transaction.atomic
def _transaction(records: Records, raw: list[Any], prefer: str) -> list[bytes]:
    read = []
    for position, item in enumerate(raw):
        with _at(position):
            read.append(entries.read(position, item))
    if again := entries.refuse_twice(read):
        with _at(again.position):
            raise Problem(400, "duplicate", "同じ対象が二度あります。The same target stands twice.")
    answers: dict[int, bytes] = {}
    _each(records, read, "DELETE", prefer, answers)
    names = _create(records, read, prefer, answers)
    for entry in read:
        if entry.method == "PUT" and entry.resource:
            with _at(entry.position):
                entry.resource = names.put_into(entry.resource)
    _each(records, read, "PUT", prefer, answers)
    _each(records, read, "GET", prefer, answers)
    return [answers[position] for position in range(len(read))]


def _each(records: Records, read: list[Entry], method: str, prefer: str, answers: dict[int, bytes]) -> None:
    """By name, so that two transactions over the same resources wait for each other instead of both being stuck."""
    for entry in sorted(read, key=lambda e: (e.type, e.id or "")):
        if entry.method == method:
            with _at(entry.position):
                answers[entry.position] = _carry_out(records, entry, prefer)


class _Names:
    """What the entries of one transaction are called, and what a conditional reference found."""

    def __init__(self, records: Records, read: list[Entry]) -> None:
        self.records = records
        self.named: dict[str, str] = {}
        self.found: dict[str, str] = {}
        for entry in read:
            if entry.method == "PUT" and entry.id:
                self.give(entry, entry.id)

    def give(self, entry: Entry, id: str) -> None:
        self.named |= dict.fromkeys(entry.names, f"{entry.type}/{id}")

    def put_into(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        return rewritten(resource, self.named, self._find)

    def _find(self, type: str, text: str) -> str:
        """The one resource that a conditional reference finds. What the caller may not see is not found."""
        if text not in self.found:
            _needs(self.records, type, "s")
            match = self.records.matching(preconditions.condition(type, text, now=self.records.now))
            if match is None:
                told = f"参照先がありません。Nothing matches the reference {text[:60]}"
                raise Problem(412, "not-found", told)
            self.found[text] = match.reference
        return self.found[text]


def _create(records: Records, read: list[Entry], prefer: str, answers: dict[int, bytes]) -> _Names:
    """Create what POST entries bring; returns what every entry is now called. Ids are given before anything is
    stored, so that entries may refer to each other in any direction."""
    names = _Names(records, read)
    fresh: list[tuple[Entry, str]] = []
    matches = _matches(records, read)
    for entry in (e for e in read if e.method == "POST"):
        with _at(entry.position):
            _needs(records, entry.type, "c")
            match = matches.get(entry.position)
            if match is None:
                fresh.append((entry, str(uuid4())))
                names.give(entry, fresh[-1][1])
            else:
                answers[entry.position] = _answer("200", match, prefer=prefer, records=records)
                names.give(entry, match.id)
    drafts = []
    for entry, given in fresh:
        with _at(entry.position):
            drafts.append(names.put_into(entry.resource or {}) | {"id": given})
    try:
        stored = records.create_all(drafts, keep_ids=True)
    except Rejected as error:
        raise InEntry(fresh[error.at or 0][0].position, error) from error
    for (entry, _), created in zip(fresh, stored, strict=True):
        answers[entry.position] = _answer("201", created, prefer=prefer, records=records)
    return names


def _matches(records: Records, read: list[Entry]) -> dict[int, Stored | None]:
    """What the conditions of POST entries find, by position. Sorted: each locks its condition (see `_each`)."""
    asked = [entry for entry in read if entry.method == "POST" and entry.if_none_exist is not None]
    found = {}
    for entry in sorted(asked, key=lambda e: (e.type, e.if_none_exist or "")):
        with _at(entry.position):
            found[entry.position] = records.matching(_condition(records, entry))
    return found
