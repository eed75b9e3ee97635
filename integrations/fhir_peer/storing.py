"""Storing what a peer said about one person: mapped, checked, decided, each slice one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction

from consent import audit, keys
from consent.audit import Event
from integrations.commit import lock_record
from integrations.depositing import Depositing
from integrations.fhir_peer import mapping, parse, registry
from integrations.fhir_peer.client import Clock
from integrations.fhir_peer.parse import Resource, Unusable
from integrations.fhir_peer.registry import Linked
from integrations.models import Peer, PeerDelivery, PeerKnown
from phr.records import facts, systems, validate
from phr.records.gateway import Gone, Refused, Rejected
from phr.records.profiles import judging

alarm = logging.getLogger("phr.alarm")


class Ended(Exception):
    """The link has ended, or nothing may be deposited for this person now."""


@dataclass(slots=True)
class _Slice:
    """What is to be written of one slice, and what became of each: type/theirs -> why it is not stored."""

    fresh: list[tuple[Resource, PeerKnown]] = field(default_factory=list)
    again: list[tuple[Resource, PeerKnown]] = field(default_factory=list)
    seen: list[PeerKnown] = field(default_factory=list)


def take(peer: Peer, linked: Linked, type: str, found: Sequence[Resource], *, clock: Clock) -> int:
    """Store what is new of these; returns how many resources were written. Raises Ended."""
    with transaction.atomic():
        records, there = _opened(peer, linked, clock=clock)
        planned = _planned(peer, linked, type, found, there, records)
        written = _created(records, planned) + _renewed(records, planned)
        _keep(planned)
        if written:
            _trail(peer, records, there, written)
            _told(peer, records, linked, len(written))
    return len(written)


def gone(peer: Peer, linked: Linked, type: str, theirs: str, *, clock: Clock) -> None:
    """What they deleted is entered in error here; every earlier version stays. Raises Ended."""
    with transaction.atomic():
        records, there = _opened(peer, linked, clock=clock)
        known = PeerKnown.objects.filter(person=linked.person, type=type, theirs=theirs, gone=False).first()
        if known is None:
            return
        try:
            with transaction.atomic():
                retired = records.retire(f"{type}/{known.ours}")
        except Rejected:
            retired = False
        PeerKnown.objects.filter(pk=known.pk).update(gone=True)
        if retired:
            _trail(peer, records, there, [known])
            _told(peer, records, linked, 1)


def is_anothers(peer: Peer, linked: Linked, resource: Resource) -> bool:
    """Whether a resource of theirs names another Patient than hers."""
    try:
        mapping.taken(resource, registry.there(peer, linked, {}))
    except Unusable as error:
        return str(error) == "other-person"
    return False


def _opened(peer: Peer, linked: Linked, *, clock: Clock) -> tuple[Depositing, mapping.There]:
    """The record as the peer's organisation may fill it at this moment. Raises Ended."""
    try:
        keys.require_living(linked.subject)
    except keys.Erased:
        raise Ended from None
    lock_record(linked.subject)
    standing = Peer.objects.filter(pk=peer.pk, state=Peer.State.ACTIVE, pulls=True).exists()
    again = registry.person(peer, linked.person.number_id)
    if not standing or again is None or again.subject != linked.subject:
        raise Ended
    try:
        records = Depositing.opened_for(registry.caller(peer, "cu"), now=clock())
    except Refused:
        raise Ended from None
    records.linked = frozenset({linked.subject})
    sent = PeerDelivery.objects.filter(peer=peer, subject=linked.subject).exclude(theirs__in=["", "?"])
    back = {f"{type}/{theirs}": f"{type}/{ours}" for type, theirs, ours in sent.values_list("type", "theirs", "ours")}
    return records, registry.there(peer, linked, back)


def _planned(peer: Peer, linked: Linked, type: str, found: Sequence[Resource], there: mapping.There,
             records: Depositing) -> _Slice:  # fmt: skip
    """Sort out what is ours, known, older, unsound or not hers; map the rest. The last of several versions counts."""
    plan = _Slice()
    rows = {row.theirs: row for row in PeerKnown.objects.filter(person=linked.person, type=type)}
    chosen: dict[str, tuple[Resource, PeerKnown]] = {}
    for resource in found:
        id = _their_id(resource, type)
        if not id or mapping.is_own(resource, there.own) or f"{type}/{id}" in there.sent:
            continue
        version, modified = _version(resource, records)
        known = chosen[id][1] if id in chosen else rows.get(id)
        if known is not None and _is_old(known, version, modified):
            continue
        row = rows.get(id) or PeerKnown(
            person=linked.person, type=type, theirs=id, ours=mapping.our_id(there, type, id)
        )
        row.version, row.modified, row.problem, row.gone = version, modified, "", False
        chosen[id] = (resource, row)
    there_already = records.there([f"{type}/{row.ours}" for _, row in chosen.values()])
    for resource, row in chosen.values():
        plan.seen.append(row)
        try:
            mapped = _sound(peer, mapping.taken(resource, there), there, records)
        except Unusable as error:
            row.problem = str(error)
            continue
        (plan.again if f"{type}/{row.ours}" in there_already else plan.fresh).append((mapped, row))
    return plan


def _their_id(resource: Resource, type: str) -> str:
    try:
        kind, id = parse.named(resource)
    except Unusable:
        return ""
    return id if kind == type else ""


def _version(resource: Resource, records: Depositing) -> tuple[str, str]:
    """As they say it; a time that lies ahead counts as none, or it would keep out every later version."""
    version, modified = parse.version_of(resource)
    at = parse.instant(modified)
    return version, "" if at is not None and at > records.now + parse.AHEAD else modified


def _is_old(known: PeerKnown, version: str, modified: str) -> bool:
    """Seen in this version already, or in a later one. After a restore there a number may come again, later."""
    before, now = parse.instant(known.modified), parse.instant(modified)
    if before is not None and now is not None and before != now:
        return now < before
    return bool(version) and known.version == version


def _sound(peer: Peer, mapped: Resource, there: mapping.There, records: Depositing) -> Resource:
    """Checked as FHIR (else refused), by what it claims (else tagged), and by its Facts. Raises Unusable."""
    if any(p.severity in ("fatal", "error") for p in validate.check(mapped)):
        raise Unusable("not-sound")
    try:
        fact = facts.facts_of(mapped, author=peer.organization_id)
    except facts.Unclassifiable:
        raise Unusable("other-person") from None
    if fact.subjects != (there.subject,):
        raise Unusable("other-person")
    if fact.categories & ~peer.categories:
        raise Unusable("category")
    claims = mapped["meta"].get("profile")
    if claims and any(p.severity == "error" for p in judging.findings(mapped, now=records.now)):
        return mapping.tagged(mapped)
    return mapped


def _created(records: Depositing, plan: _Slice) -> list[PeerKnown]:
    groups = [[resource] for resource, _ in plan.fresh]
    refused = records.deposit(groups, trail=lambda stored: []) if groups else {}
    for position, error in refused.items():
        plan.fresh[position][1].problem = _code(error)
    return [row for position, (_, row) in enumerate(plan.fresh) if position not in refused]


def _renewed(records: Depositing, plan: _Slice) -> list[PeerKnown]:
    written = []
    for resource, row in plan.again:
        try:
            with transaction.atomic():
                if records.renew(resource):
                    written.append(row)
        except Gone:
            row.problem = "deleted-here"
        except Rejected as error:
            row.problem = _code(error)
    return written


def _keep(plan: _Slice) -> None:
    PeerKnown.objects.bulk_create([row for row in plan.seen if row.pk is None])
    old = [row for row in plan.seen if row.pk is not None]
    PeerKnown.objects.bulk_update(old, ["version", "modified", "problem", "gone"])
    strangers = sum(row.problem == "other-person" for row in plan.seen)
    if strangers:
        alarm.error("a peer answered with %d resources of other people: refused", strangers)


def _trail(peer: Peer, records: Depositing, there: mapping.There, rows: Sequence[PeerKnown]) -> None:
    code, name = peer.organization.code, peer.organization.name
    author = {"type": "Organization", "identifier": {"system": systems.INSTITUTION_10, "value": code}, "display": name}
    told = mapping.provenance(
        there, [f"{row.type}/{row.ours}" for row in rows], author=author,
        sources=[f"{there.base}/{r.type}/{r.theirs}" + (f"/_history/{r.version}" if r.version else "") for r in rows],
        key=records.now.isoformat(), recorded=records.now.isoformat(timespec="seconds"),
    )  # fmt: skip
    records.create_all([told], keep_ids=True)


def _told(peer: Peer, records: Depositing, linked: Linked, count: int) -> None:
    detail: audit.Detail = {"client": peer.code, "count": count, "organization": peer.organization_id}
    audit.record(Event.PEER_RECEIVED, by=records.caller, subject=linked.subject, now=records.now, detail=detail)


def _code(error: Rejected) -> str:
    return type(error).__name__.lower()[:40]
