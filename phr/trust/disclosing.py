"""Disclosure (IT-13; APPI Art. 33): everything kept about a person, handed to her as files, while it is decided anew.

    index.html             what is in it, for people
    record.ndjson          every version of every resource, deletions too
    log.ndjson             every line of the log about her
    consents.ndjson        every version of every consent
    provisions.ndjson      what was asked for, judged, handed over; what came back
    confirmations.ndjson   what was received about her, from whom, how acquired
    notices.ndjson         what she was told
    requests.ndjson        erasures, corrections, transfers she asked for
    manifest.json          rows and SHA-256 of each

A guardian gets what a guardian may see: of the record by the decision, of the log by its view (G-05, G-08, G-12, G-13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from consent import audit, rules, telling
from consent.audit import Event
from consent.clauses import Malformed, clause_from_json, clause_to_json
from consent.decide import Caller, Capacity
from consent.models import (
    Benefit,
    Confirmation,
    Correction,
    Erasure,
    Grant,
    Notice,
    Organization,
    Person,
    Provision,
    Subject,
    Transfer,
)
from phr.records import body, disclosing, labels
from phr.records.store import Stored
from phr.trust import correcting, log_lines, wording
from phr.trust.packing import Package

Clock = Callable[[], datetime]
Told = dict[str, Any]
FORMAT = "tsumugi-disclosure/1"
CONFIDING_AGE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whose record, who asks, as what."""

    subject: Subject
    person: Person
    capacity: Capacity
    caller: Caller
    now: datetime

    @property
    def reader(self) -> telling.Reader:
        """As whom she is told of consents and places, as she asked."""
        return telling.Reader.at(
            self.now, person=self.person.pk, capacity=self.capacity, birth_on=self.subject.birth_on,
            location_hidden=self.subject.location_hidden,
        )  # fmt: skip


def disclose(asked: Asked, *, clock: Clock) -> Iterator[bytes]:
    """The package, as it is made. Nothing leaves before the line on the log is kept; each chunk is decided anew.

    Raises Refused where the right to the record ends meanwhile: the package then breaks off.
    """
    now = clock()
    audit.record(Event.RECORD_DISCLOSED, by=asked.caller, subject=asked.subject.pk, now=now)
    last = log_lines.newest(asked.subject.pk)
    package = Package(now)
    yield from package.lines("record.ndjson", _record(asked, clock))
    files: dict[str, Callable[[], Iterator[Told]]] = {
        "log.ndjson": lambda: log_lines.told(asked.subject, asked.person, asked.capacity, upto=last, clock=clock),
        "consents.ndjson": lambda: _consents(asked),
        "provisions.ndjson": lambda: _provisions(asked),
        "confirmations.ndjson": lambda: _confirmations(asked, clock()),
        "notices.ndjson": lambda: _notices(asked),
        "requests.ndjson": lambda: _requests(asked),
    }
    for name, rows in files.items():
        _still(asked, clock)
        yield from package.lines(name, map(msgspec.json.encode, rows()))
    head = {"format": FORMAT, "record": str(asked.subject.pk), "capacity": asked.capacity.value}
    yield from package.text("index.html", wording.index_page(package.manifest(head)))
    yield from package.end(package.manifest(head))


def _still(asked: Asked, clock: Clock) -> None:
    """Decide once more. Raises Refused."""
    disclosing.Whole.opened_by(asked.caller, now=clock())


def _record(asked: Asked, clock: Clock) -> Iterator[bytes]:
    shows_labels, named = asked.capacity is Capacity.SELF, _named(asked)
    for found in disclosing.walk(asked.caller, asked.subject.pk, clock=clock, method="disclosure"):
        resource = None if found.body is None else body.parse(found.body)
        if resource is not None and not shows_labels:
            labels.removed(resource)
        yield body.write({**_about(found, named), "resource": resource})


def _about(found: Stored, named: dict[int, Told]) -> Told:
    author = named.get(found.facts.author) if found.facts.author is not None else None
    return {
        "reference": found.reference, "version": found.version, "updated_at": found.updated_at.isoformat(),
        "deleted": found.deleted, "author": author,
    }  # fmt: skip


def _named(asked: Asked) -> dict[int, Told]:
    """All organisations: there are few, and their names are public. None where they would tell a place (G-08)."""
    if asked.reader.place_hidden:
        return {}
    rows = Organization.objects.values_list("pk", "code", "name")
    return {id: {"code": code, "name": name} for id, code, name in rows}


def _consents(asked: Asked) -> Iterator[Told]:
    for grant in _grants(asked):
        mine = grant.given_by_id == asked.person.pk
        yield {
            "id": grant.pk, "version": grant.version, "supersedes": grant.supersedes_id, "state": grant.state,
            "given_by": "you" if mine else grant.capacity if asked.capacity is Capacity.SELF else "another guardian",
            "capacity": grant.capacity, "given_at": grant.given_at, "ended_at": grant.ended_at,
            "ended_reason": grant.ended_reason if mine or asked.capacity is Capacity.SELF else "",
            "root": _root(grant, asked),
        }  # fmt: skip


def _grants(asked: Asked) -> Iterator[Grant]:
    """The consents that are there for whoever asks."""
    for grant in Grant.objects.filter(subject=asked.subject).order_by("pk").iterator():
        if telling.grant_shown(asked.reader, root=grant.root, given_as=grant.capacity, given_by=grant.given_by_id):
            yield grant


def _root(grant: Grant, asked: Asked) -> Any:
    if telling.place_shown(asked.reader, given_by=grant.given_by_id):
        return grant.root
    try:
        return clause_to_json(telling.without_places(clause_from_json(grant.root)))
    except Malformed:
        return {}


def _provisions(asked: Asked) -> Iterator[Told]:
    named = _named(asked)
    known = {grant.pk for grant in _grants(asked)}
    rows = Provision.objects.filter(subject=asked.subject).select_related("recipient")
    for row in rows.order_by("made_at", "pk").iterator():
        if row.grant_id is not None and row.grant_id not in known:
            continue
        came = Benefit.objects.filter(provision=row).values("kind", "text_ja", "text_en", "yen", "came_at")
        yield {
            "id": row.pk, "state": row.state, "recipient": named.get(row.recipient.organization_id),
            "program": row.program_id, "grant": row.grant_id, "grant_version": row.grant_version,
            "purpose": row.purpose, "categories": row.categories, "judgement": row.judgement, "items": row.items,
            "made_at": row.made_at, "answered_at": row.answered_at, "delivered_at": row.delivered_at,
            "until": row.until, "ended_at": row.ended_at, "ended_reason": row.ended_reason, "benefits": list(came),
        }  # fmt: skip


def _confirmations(asked: Asked, now: datetime) -> Iterator[Told]:
    """The records of receiving (IT-41).

    A guardian learns from them neither where a child is that is protected (G-08), nor at whose door it was from the
    age on at which it may have something to keep to itself (G-12): only what the family itself brought.
    """
    rows = Confirmation.objects.filter(subject=asked.subject).order_by("received_at", "pk")
    born, named = asked.subject.birth_on, _named(asked)
    young = born is not None and rules.age_on(born, rules.today_in_japan(now)) < CONFIDING_AGE
    if asked.capacity is not Capacity.SELF and (asked.reader.place_hidden or not young):
        rows = rows.filter(acquired="from-the-person", organization=None)
    for row in rows.iterator():
        yield {
            "id": row.pk, "provider": row.provider, "address": row.address,
            "organization": named.get(row.organization_id or 0), "acquired": row.acquired, "run": row.run,
            "sha256": row.sha256, "categories": row.categories, "resources": row.resources,
            "received_at": row.received_at,
        }  # fmt: skip


def _notices(asked: Asked) -> Iterator[Told]:
    rows = Notice.objects.filter(person=asked.person, subject=asked.subject).order_by("pk")
    for row in rows.values("id", "kind", "at", "detail", "acknowledged_at").iterator():
        yield {**row, "detail": telling.notice_detail(asked.reader, row["detail"])}


def _requests(asked: Asked) -> Iterator[Told]:
    """One's own: what another guardian asks for stands in the other's package."""
    mine = {"subject": asked.subject} if asked.capacity is Capacity.SELF else {
        "subject": asked.subject, "asked_by": asked.person
    }  # fmt: skip
    for erasure in Erasure.objects.filter(**mine).order_by("pk"):
        yield {"kind": "erasure", "id": erasure.pk, "state": erasure.state, "asked_at": erasure.asked_at,
               "due_at": erasure.due_at, "ended_at": erasure.ended_at}  # fmt: skip
    for correction in Correction.objects.filter(**mine).order_by("pk"):
        yield {"kind": "correction", **correcting.shown(correction)}
    for move in Transfer.objects.filter(**mine).order_by("asked_at"):
        yield {"kind": "transfer", "id": move.pk, "to": move.to, "state": move.state, "asked_at": move.asked_at,
               "packed_at": move.packed_at, "manifest": move.manifest, "receipt": move.receipt}  # fmt: skip
