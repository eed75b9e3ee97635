"""Bundles sent to the base: `transaction` (all or nothing) and `batch` (each on its own). R4 http.html §3.1.0.11."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import msgspec
from django.db import transaction

from phr.fhir import outcome, wire
from phr.fhir.outcome import InEntry, Problem
from phr.records import definitions
from phr.records.gateway import Forbidden, NotFound, Records, Rejected, Stored

MAX_ENTRIES = 5000
ORDER = ("DELETE", "POST", "PUT", "GET")
_URL = re.compile(r"/?(?P<type>[A-Z][A-Za-z]{1,63})(?:/(?P<id>[A-Za-z0-9.\-]{1,64}))?(?:\?(?P<query>.*))?")


@dataclass(slots=True)
class Entry:
    """One entry, read and checked for shape."""

    position: int
    method: str
    type: str
    id: str | None
    query: str | None
    resource: dict[str, Any] | None
    full_url: str | None
    if_none_exist: str | None
    if_match: int | None


def process(records: Records, content: Mapping[str, Any], *, prefer: str) -> bytes:
    """Carry out a Bundle and return the response Bundle. Raises InEntry for the entry that failed a transaction."""
    if content.get("resourceType") != "Bundle":
        raise Problem(400, "invalid", "ここには Bundle を送ります。A Bundle is expected here.", "resourceType")
    kind = content.get("type")
    if kind not in ("batch", "transaction"):
        raise Problem(400, "value", "type は batch か transaction です。Expected batch or transaction.", "Bundle.type")
    raw = content.get("entry", [])
    if not isinstance(raw, list) or len(raw) > MAX_ENTRIES:
        raise Problem(413 if isinstance(raw, list) else 400, "too-long", f"entry は {MAX_ENTRIES} 件までの配列です。"
                      f"An array of at most {MAX_ENTRIES} entries is expected.", "Bundle.entry")  # fmt: skip
    answers = _batch(records, raw, prefer) if kind == "batch" else _transaction(records, raw, prefer)
    return wire.bundle(f"{kind}-response", answers)


# -- reading entries -----------------------------------------------------------------------------


def _entry(position: int, raw: Any) -> Entry:
    request = raw.get("request") if isinstance(raw, dict) else None
    if not isinstance(request, dict):
        raise Problem(400, "required", "request がありません。An entry needs a request.", "request")
    method, url = request.get("method"), request.get("url")
    if method not in ORDER:
        raise Problem(400, "not-supported", f"method は {', '.join(ORDER)} です。Unsupported method.", "request.method")
    found = _URL.fullmatch(url) if isinstance(url, str) else None
    if not found or found["type"] not in definitions.concrete_types():
        raise Problem(400, "invalid", "url を解釈できません。The url cannot be understood.", "request.url")
    resource = raw.get("resource")
    if (method in ("POST", "PUT")) != isinstance(resource, dict):
        raise Problem(400, "required", "POST と PUT は resource を一つ伴います。POST and PUT carry a resource.", "resource")
    if isinstance(resource, dict) and resource.get("resourceType") != found["type"]:
        raise Problem(400, "invalid", "resource の型が url と違います。The resource is not of the url's type.", "resource")
    if (method in ("PUT", "DELETE")) != (found["id"] is not None) and method != "GET":
        raise Problem(400, "not-supported", "url の形が method に合いません。The url does not fit the method.", "request.url")
    return Entry(
        position, method, found["type"], found["id"], found["query"], resource,
        _text(raw, "fullUrl"), _text(request, "ifNoneExist"), _version(_text(request, "ifMatch")),
    )  # fmt: skip


def _text(holder: Mapping[str, Any], name: str) -> str | None:
    value = holder.get(name)
    if value is not None and not isinstance(value, str):
        raise Problem(400, "value", f"{name} は文字列です。{name} must be a string.", name)
    return value


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r'(?:W/)?"?(\d{1,9})"?', text.strip())
    if not found:
        raise Problem(400, "value", "ifMatch は ETag です。ifMatch must be an ETag.", "request.ifMatch")
    return int(found[1])


# -- batch ------------------------------------------------------------------------------------------


def _batch(records: Records, raw: list[Any], prefer: str) -> list[bytes]:
    answers = []
    for position, item in enumerate(raw):
        try:
            with transaction.atomic():
                entry = _entry(position, item)
                answers.append(_carry_out(records, entry, prefer))
        except Exception as error:  # each entry answers for itself
            answers.append(_refusal(error))
    return answers


def _refusal(error: Exception) -> bytes:
    status, issues = outcome.explain(error)
    return b'{"response":{"status":"%d","outcome":%s}}' % (status, outcome.as_json(issues))


def _carry_out(records: Records, entry: Entry, prefer: str) -> bytes:
    match entry.method:
        case "GET":
            return _get(records, entry)
        case "DELETE":
            records_gone = records.delete(entry.type, entry.id or "", if_match=entry.if_match)
            return _answer("204", records_gone, prefer="minimal", records=records)
        case "PUT":
            return _answer("200", _put(records, entry), prefer=prefer, records=records)
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


def _condition(records: Records, entry: Entry) -> Any:
    _needs(records, entry.type, "s")
    return wire.condition(entry.type, entry.if_none_exist or "", now=records.now)


def _get(records: Records, entry: Entry) -> bytes:
    if entry.id is not None:
        _needs(records, entry.type, "r")
        return _answer("200", records.read(entry.type, entry.id), prefer="representation", records=records)
    _needs(records, entry.type, "s")
    asked = parse_qsl(entry.query or "", keep_blank_values=True)
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
    entries = []
    for position, item in enumerate(raw):
        with _at(position):
            entries.append(_entry(position, item))
    _refuse_twice(entries)
    answers: dict[int, bytes] = {}
    _each(records, entries, "DELETE", prefer, answers)
    named = _create(records, entries, prefer, answers)
    for entry in entries:
        if entry.method == "PUT" and entry.resource:
            entry.resource = rewritten(entry.resource, named)
    _each(records, entries, "PUT", prefer, answers)
    _each(records, entries, "GET", prefer, answers)
    return [answers[position] for position in range(len(entries))]


def _each(records: Records, entries: list[Entry], method: str, prefer: str, answers: dict[int, bytes]) -> None:
    for entry in entries:
        if entry.method == method:
            with _at(entry.position):
                answers[entry.position] = _carry_out(records, entry, prefer)


def _refuse_twice(entries: list[Entry]) -> None:
    """A transaction touches no resource twice and names no entry twice."""
    seen: set[str] = set()
    for entry in entries:
        touched = f"{entry.type}/{entry.id}" if entry.method in ("PUT", "DELETE") else None
        for name in {n for n in (touched, entry.full_url) if n}:
            if name in seen:
                with _at(entry.position):
                    raise Problem(400, "duplicate", "同じ対象が二度あります。The same target stands twice.")
            seen.add(name)


def _create(records: Records, entries: list[Entry], prefer: str, answers: dict[int, bytes]) -> dict[str, str]:
    """Create what POST entries bring; returns what each fullUrl now means. Ids are given before anything is
    stored, so that entries may refer to each other in any direction."""
    named = {e.full_url: f"{e.type}/{e.id}" for e in entries if e.method == "PUT" and e.full_url}
    fresh: list[tuple[Entry, str]] = []
    for entry in (e for e in entries if e.method == "POST"):
        with _at(entry.position):
            match = records.matching(_condition(records, entry)) if entry.if_none_exist is not None else None
            if match is None:
                fresh.append((entry, id := str(uuid4())))
            else:
                id = match.id
                answers[entry.position] = _answer("200", match, prefer=prefer, records=records)
        if entry.full_url:
            named[entry.full_url] = f"{entry.type}/{id}"
    try:
        stored = records.create_all(
            [rewritten(e.resource or {}, named) | {"id": id} for e, id in fresh], keep_ids=True
        )
    except Rejected as error:
        raise InEntry(fresh[error.at or 0][0].position, error) from error
    for (entry, _), created in zip(fresh, stored, strict=True):
        answers[entry.position] = _answer("201", created, prefer=prefer, records=records)
    return named


def rewritten(value: Any, named: Mapping[str, str]) -> Any:
    """The same JSON with every string that is one of the names replaced by the reference it stands for."""
    match value:
        case str():
            return named.get(value, value)
        case dict():
            return {k: rewritten(v, named) for k, v in value.items()}
        case list():
            return [rewritten(v, named) for v in value]
    return value
