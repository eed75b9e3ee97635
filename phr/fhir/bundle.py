"""Bundles sent to the base: `batch` (each entry on its own), `transaction` (all or nothing); R4 http.html §3.1.0.11."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.http import HttpRequest

from phr.fhir import entries, inner, outcome, patch_bodies, transactions, wire
from phr.fhir.carrying import admit, answer, condition, id_fits
from phr.fhir.entries import Entry
from phr.fhir.outcome import InEntry
from phr.records.gateway import Records


def process(records: Records, content: Mapping[str, Any], *, prefer: str, request: HttpRequest | None = None) -> bytes:
    """Carry out a Bundle and return the response Bundle. Raises InEntry for the entry that failed a transaction.

    `request`: what brought it, where something did; entries that ask inherit its preferences.
    """
    kind = entries.kind_of(content)
    raw = entries.raw_entries(content)
    asked = request or HttpRequest()
    if kind == "batch":
        answers = _batch(asked, records, raw, prefer)
    else:
        with records.accounted():
            answers = transactions.carry_out(asked, records, raw, prefer)
    return wire.bundle(f"{kind}-response", answers)


def _batch(request: HttpRequest, records: Records, raw: list[Any], prefer: str) -> list[bytes]:
    """In the order of a transaction's steps; whatever an entry is refused for, the others do not feel it."""
    answers: dict[int, bytes] = {}
    read: list[Entry] = []
    for position, item in enumerate(raw):
        try:
            read.append(entries.read(position, item))
        except Exception as error:  # noqa: BLE001 - each entry answers for itself, by the same translator
            answers[position] = _refusal(InEntry(position, error))
    entries.limited(read)
    for entry in entries.in_order(read):
        try:
            with records.accounted(), transaction.atomic():
                answers[entry.position] = _carry_out(request, records, entry, prefer)
        except Exception as error:  # noqa: BLE001
            answers[entry.position] = _refusal(InEntry(entry.position, error))
    return [answers[position] for position in range(len(raw))]


def _refusal(error: Exception) -> bytes:
    status, issues = outcome.explain(error)
    return b'{"response":{"status":"%d","outcome":%s}}' % (status, outcome.as_json(issues))


def _carry_out(request: HttpRequest, records: Records, entry: Entry, prefer: str) -> bytes:
    if entry.asks:
        return inner.answer(request, records, entry)
    admit(records, entry)
    deed = {"DELETE": _delete, "POST": _create, "PUT": _update, "PATCH": _patch}[entry.method]
    return deed(records, entry, prefer)


def _delete(records: Records, entry: Entry, prefer: str) -> bytes:
    asked = condition(records, entry)
    if asked is None:
        gone = records.delete(entry.type, entry.id or "", if_match=entry.if_match)
    else:
        gone = records.delete_where(asked, if_match=entry.if_match)
    return answer(204, gone, prefer=prefer, records=records)


def _create(records: Records, entry: Entry, prefer: str) -> bytes:
    asked, resource = condition(records, entry), entry.resource or {}
    stored, created = records.create_unless(resource, asked) if asked else (records.create(resource), True)
    return answer(201 if created else 200, stored, prefer=prefer, records=records)


def _update(records: Records, entry: Entry, prefer: str) -> bytes:
    asked, resource = condition(records, entry), entry.resource or {}
    if asked is None:
        id_fits(entry)
        stored, created = records.put(
            entry.type, entry.id or "", resource, if_match=entry.if_match, fresh=entry.fresh
        )  # fmt: skip
    else:
        stored, created = records.put_where(asked, resource, if_match=entry.if_match, fresh=entry.fresh)
    return answer(201 if created else 200, stored, prefer=prefer, records=records)


def _patch(records: Records, entry: Entry, prefer: str) -> bytes:
    asked, change = condition(records, entry), patch_bodies.of_entry(entry.resource or {})
    if asked is None:
        stored = records.patch(entry.type, entry.id or "", change, if_match=entry.if_match)
    else:
        stored = records.patch_where(asked, change, if_match=entry.if_match)
    return answer(200, stored, prefer=prefer, records=records)
