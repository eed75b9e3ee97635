"""The log at the REST door: AuditEvents made from its lines for whoever reads, never stored, never written by clients.

A person and a guardian get what `consent.log_view` lets them be told; staff and systems, what their own organisation
did. Every look is a line itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse

from consent.log_view import Shown
from consent.models import Grant, Organization, Person
from consent.refusal import Absent, Refusal
from phr.fhir import shape, wire
from phr.fhir.door import admitted, open_records
from phr.fhir.outcome import FHIR_JSON, Issue, Problem, as_json
from phr.fhir.shape import Shape
from phr.records import body
from phr.records.gateway import NotFound, Records
from phr.records.search import ranges
from phr.records.search.params import params_for
from phr.trust.audit_events import Names, audit_event
from phr.trust.log_pages import AT_MOST, LogReading, Wanted

TYPE = "AuditEvent"
MOST, USUAL = 200, 50
TOKENS = ("action", "agent-role", "outcome", "subtype", "type")
PARAMS = (*TOKENS, "agent", "date", "entity", "patient")
EVERYWHERE = ("_id", "_lastUpdated")
_CONTROLS = ("_count", "_page", "_total", "_summary", "_elements", "_format", "_pretty")

Event = Mapping[str, Any]
Test = Callable[[Event], bool]


@dataclass(slots=True)
class Asked:
    """A search, understood."""

    wanted: Wanted = field(default_factory=Wanted)
    tests: list[Test] = field(default_factory=list)
    used: wire.Pairs = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    count: int = USUAL
    cursor: str | None = None
    total: bool = False
    form: Shape = shape.WHOLE


def read(request: HttpRequest, *, id: str) -> HttpResponse:
    """One line, as it is told to this caller. Raises NotFound, alike for one that is not there."""
    records = open_records(request)
    admitted(records, TYPE, "r")
    form = shape.asked(wire.understood(request))
    try:
        _, line = LogReading.of(records).line(id)
    except Absent:
        raise NotFound(f"{TYPE}/{id[:64]}") from None
    return HttpResponse(_spelled(audit_event(line, _Names(records).of(line)), form), content_type=FHIR_JSON)


def search(request: HttpRequest) -> HttpResponse:
    """Newest first. What is filtered is what is told: a filter tells nothing of what is hidden."""
    records = open_records(request)
    admitted(records, TYPE, "s")
    pairs = wire.asked(request)
    if request.method == "POST":
        pairs += wire.form(request)
        wire.json_wanted(pairs)
    asked = _asked(pairs, strict=wire.strict(request.headers.get("Prefer", "")))
    reading = LogReading.of(records)
    try:
        found, cursor = _page(reading, asked)
        total = _total(reading, asked) if asked.total else None
    except Refusal as error:
        raise Problem(400, "invalid", error.why, "http._page") from None
    entries = [_entry(event, asked.form) for event in found]
    if asked.unknown and asked.count:
        entries.append(b'{"resource":%s,"search":{"mode":"outcome"}}' % as_json([_ignored(n) for n in asked.unknown]))
    links = wire.links(f"{wire.base()}/{TYPE}", asked.used, cursor)
    return HttpResponse(wire.bundle("searchset", entries, links=links, total=total), content_type=FHIR_JSON)


def _page(reading: LogReading, asked: Asked) -> tuple[list[Event], str | None]:
    """The events of a page, and where the next one begins."""
    found: list[Event] = []
    names, last = _Names(reading.records), asked.cursor
    for looked, (place, line) in enumerate(reading.walk(asked.wanted, asked.cursor)):
        if not asked.count:
            return [], None
        event = None if line is None else audit_event(line, names.of(line))
        fits = event is not None and all(test(event) for test in asked.tests)
        if looked == AT_MOST or (fits and len(found) == asked.count):
            return found, last
        if fits and event is not None:
            found.append(event)
        last = place
    return found, None


def _total(reading: LogReading, asked: Asked) -> int | None:
    """How many there are; None where that would take too long (R4 bundle.html: total is optional)."""
    count, names = 0, _Names(reading.records)
    for looked, (_, line) in enumerate(reading.walk(asked.wanted)):
        if looked == AT_MOST:
            return None
        count += line is not None and all(test(audit_event(line, names.of(line))) for test in asked.tests)
    return count


class _Names:
    """What ids in lines are called; each looked up once. A Consent that is not there for the reader is not named."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._organizations = dict(Organization.objects.values_list("pk", "name"))
        self._persons: dict[int, str] = {}
        self._consents: dict[int, str] = {}

    def of(self, line: Shown) -> Names:
        if line.person is not None and line.person not in self._persons:
            self._persons.update(Person.objects.filter(pk=line.person).values_list("pk", "name"))
        if missing := set(line.consents) - self._consents.keys():
            stands = dict(Grant.objects.filter(pk__in=missing).values_list("pk", "consent_id"))
            seen = self._records.may_know(f"Consent/{id}" for id in stands.values() if id)
            self._consents.update({pk: id if f"Consent/{id}" in seen else "" for pk, id in stands.items()})
        return Names(wire.base(), line.subject, self._organizations, self._persons, self._consents)


def _spelled(event: Event, form: Shape) -> bytes:
    return body.write(dict(event) if form.whole else shape.shaped(dict(event), form))


def _entry(event: Event, form: Shape) -> bytes:
    url = msgspec.json.encode(f"{wire.base()}/{TYPE}/{event['id']}")
    return b'{"fullUrl":%s,"resource":%s,"search":{"mode":"match"}}' % (url, _spelled(event, form))


def _ignored(name: str) -> Issue:
    return Issue("not-supported", f"{name[:60]} を無視しました。Ignored.", f"http.{name[:60]}", "warning")


# -- what is asked ---------------------------------------------------------------------------------


def _asked(pairs: wire.Pairs, *, strict: bool) -> Asked:
    asked = Asked()
    counted = ("_summary", "count") in pairs
    asked.form = shape.asked((name, value) for name, value in pairs if not (counted and name == "_summary"))
    for name, value in pairs:
        if name in _CONTROLS:
            _control(asked, name, value)
        elif name == "_sort" and value in ("-date", "-_lastUpdated"):
            pass  # the order they come in
        elif name.partition(":")[0] in (*PARAMS, *EVERYWHERE):
            _condition(asked, name, value)
        elif strict or _known_elsewhere(name):
            text = f"{name[:64]} はここでは使えません。Not supported here."
            raise Problem(400, "not-supported", text, f"http.{name[:64]}")
        else:
            asked.unknown.append(name)
            continue
        asked.used.append((name, value))
    if counted:
        asked.count, asked.total = 0, True
    return asked


def _known_elsewhere(name: str) -> bool:
    """What R4 knows and this does not answer is refused, not ignored (decisions/parameters-nobody-knows.md)."""
    plain = name.partition(":")[0]
    return plain.startswith("_") or plain in params_for(TYPE)


def _control(asked: Asked, name: str, value: str) -> None:
    if name == "_count":
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise _wrong(name, "0 以上の整数です。Must be a number.")
        asked.count = min(int(value), MOST)
        asked.total = asked.total or asked.count == 0
    elif name == "_page":
        asked.cursor = value
    elif name == "_total":
        if value not in ("none", "estimate", "accurate"):
            raise _wrong(name, "none, estimate, accurate")
        asked.total = asked.total or value != "none"


def _condition(asked: Asked, name: str, value: str) -> None:
    """One parameter: its values are alternatives (R4 search.html §3.1.1.4.11); several parameters all hold."""
    plain, _, modifier = name.partition(":")
    if modifier and (plain, modifier) != ("patient", "Patient"):
        raise _wrong(name, "この修飾子は使えません。This modifier is not supported.")
    choices = [choice for choice in value.split(",") if choice]
    if not choices:
        raise _wrong(name, "値がありません。No value.")
    if plain in ("date", "_lastUpdated"):
        _dated(asked, name, value)
    elif plain == "patient":
        found = frozenset(choice.removeprefix(f"{wire.base()}/").removeprefix("Patient/") for choice in choices)
        asked.tests.append(lambda event: not found.isdisjoint(_patients(event)))
        if len(found) == 1 and (subject := _uuid(next(iter(found)))):
            asked.wanted = replace(asked.wanted, subjects=(subject,))
    elif plain == "_id":
        asked.tests.append(lambda event: event["id"] in choices)
    elif plain == "entity":
        names = {choice.removeprefix(f"{wire.base()}/") for choice in choices}
        asked.tests.append(lambda event: not names.isdisjoint(_references(event)))
    elif plain == "agent":
        ids = {choice.removeprefix(f"{wire.base()}/").removeprefix("Organization/") for choice in choices}
        asked.tests.append(lambda event: not ids.isdisjoint(_identified(event)))
    else:
        asked.tests.append(lambda event: any(_is(told, choice) for told in _codes(event, plain) for choice in choices))


def _dated(asked: Asked, name: str, value: str) -> None:
    prefix, text = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
    try:
        low, high = (ranges.moment(end) for end in ranges.date_range(text.replace(" ", "+")))
    except (ValueError, OverflowError):
        raise _wrong(name, "日付か時刻です。Must be a date or a time.") from None
    within: dict[str, tuple[datetime | None, datetime | None]] = {
        "eq": (low, high), "ge": (low, None), "gt": (high, None), "sa": (high, None), "lt": (None, low),
        "eb": (None, low), "le": (None, high),
    }  # fmt: skip
    if prefix not in within:
        raise _wrong(name, f"{', '.join(within)} のどれかです。Must be one of them.")
    since, until = within[prefix]
    was = asked.wanted
    asked.wanted = replace(
        was,
        since=max(filter(None, (was.since, since)), default=None),
        until=min(filter(None, (was.until, until)), default=None),
    )


def _wrong(name: str, text: str) -> Problem:
    return Problem(400, "invalid", f"{name[:64]}: {text}", f"http.{name[:64]}")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _references(event: Event) -> set[str]:
    return {entity["what"].get("reference", "") for entity in event.get("entity", ()) if "what" in entity}


def _patients(event: Event) -> set[str]:
    return {name.removeprefix("Patient/") for name in _references(event) if name.startswith("Patient/")}


def _identified(event: Event) -> set[str]:
    return {agent["who"].get("identifier", {}).get("value", "") for agent in event["agent"]}


def _codes(event: Event, name: str) -> list[Mapping[str, str]]:
    if name == "agent-role":
        return [coding for agent in event["agent"] for role in agent.get("role", ()) for coding in role["coding"]]
    told = event.get(name, ())
    if isinstance(told, str):
        return [{"system": "", "code": told}]
    return [told] if isinstance(told, Mapping) else list(told)


def _is(coding: Mapping[str, str], asked: str) -> bool:
    system, bar, code = asked.rpartition("|")
    return coding["code"] == code and (not bar or coding["system"] == system)
