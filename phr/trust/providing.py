"""Handing over what was judged: one page of one Provision, through `Records`, minimised, labelled, logged.

Everything is judged again when it is handed over: a withdrawal in between delivers nothing. The page, its line in
the log and the record of what left (APPI Art. 29) stand in one transaction that ends before anything leaves; a
process that dies meanwhile has told nothing, and the same page may be asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from consent import audit, provisions, recipients, sides
from consent.audit import Event
from consent.decide import Caller, Capacity
from consent.judgement import ACTION
from consent.models import Provision, Subject
from consent.refusal import Absent, Refusal
from consent.scope import Door, Facts, GrantRow, by_rows
from phr.records import body, labels
from phr.records.compartments import Whole
from phr.records.gateway import Page, Records, Refused
from phr.records.search.parse import BadSearch
from phr.records.store import Stored

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
NO_REDISCLOSURE = {"system": ACT_CODE, "code": "NORDSCLCD", "display": "no redisclosure without consent directive"}
DELETE_AFTER_USE = {"system": ACT_CODE, "code": "DELAU", "display": "delete after use"}
DOORS = (Door("*", "rs"),)
DEFINITIONS = frozenset({"Medication", "Substance"})  # stand beside what names them; places and people do not
MOST = 500  # resources looked at for one page


@dataclass(frozen=True, slots=True)
class Judged:
    """A Provision that may be handed over at this moment: what of the record, and the terms it is given on."""

    provision: Provision
    terms: str  # the hash of the text its Mandate accepted
    keep: Callable[[Facts], bool]


def page(*, provision: UUID, by: Caller, cursor: str | None, count: int, terms: Callable[[str], str],
         now: datetime) -> dict[str, Any]:  # fmt: skip
    """One page as a Bundle (collection). `terms`: the URL of a text by its hash; `count`: 1 to MOST.

    Raises Absent, alike for what is not there, another's, withdrawn, or not in order (the log tells which); Refusal
    for a cursor that is none.
    """
    found = _of(provision, by)
    with transaction.atomic():
        # Whoever changes this person's consents waits, or was before us.
        Subject.objects.select_for_update().get(pk=found.subject_id)
        told = judged(found, now=now)
        bundle = _handed(told, by, cursor, min(max(count, 1), MOST), terms, now) if isinstance(told, Judged) else None
    if bundle is None:
        codes = ["refused"] if isinstance(told, Judged) else list(told)
        detail: audit.Detail = {"provision": str(found.pk), "recipient": found.recipient_id, "codes": codes}
        audit.record(Event.PROVISION_TURNED_AWAY, by=by, subject=found.subject_id, now=now, detail=detail)
        raise Absent
    return bundle


def judged(provision: Provision, *, now: datetime) -> Judged | tuple[str, ...]:
    """Judge it as everything stands now: what may be handed over, or the reasons against."""
    current = provisions.locked(provision)
    if current.state not in (Provision.State.PERMITTED, Provision.State.DELIVERED):
        return (f"state-{current.state}",)
    if now >= current.until:
        return ("period-over",)
    again = sides.judge_again(current, now=now)
    if not again.judgement.permits or again.mandate is None:
        return again.judgement.codes or ("waits",)
    told = sides.asked(current.request, now=now)
    rows = sides.judged_rows(current, actors=told.actors)
    # Never more than was judged first, never more than stands now.
    categories = current.categories & again.judgement.categories
    level = min(current.level, again.judgement.level)
    return Judged(current, again.mandate.sha256, _keeper(current, categories, level, rows, told.actors, now))


def _of(id: UUID, by: Caller) -> Provision:
    """A Provision of this organisation's own asking, or Absent."""
    if by.organization is None:
        raise Absent
    found = Provision.objects.filter(pk=id, request__asked_by__organization_id=by.organization).first()
    if found is None:
        raise Absent
    return found


def _keeper(
    provision: Provision, categories: int, level: int, rows: Sequence[GrantRow], actors: frozenset[str], now: datetime
) -> Callable[[Facts], bool]:
    """Whether one resource is inside what was judged: every category, the level, the whole time, the Grant itself."""

    def keep(facts: Facts) -> bool:
        inside = facts.categories & ~categories == 0 and facts.level <= level and _within(facts, provision)
        return inside and set(facts.subjects) == {provision.subject_id} and by_rows(
            rows, facts, actors=actors, purpose=provision.purpose, action=ACTION, now=now
        ) is True  # fmt: skip

    return keep


def _within(facts: Facts, provision: Provision) -> bool:
    """Inside the data period; where one is asked for, what has no date stays out (E-4)."""
    low, high = provision.data_low, provision.data_high
    if low is None and high is None:
        return True
    if facts.low is None or facts.high is None:
        return False
    return (low is None or facts.low >= low) and (high is None or facts.high <= high)


def _handed(
    told: Judged, by: Caller, cursor: str | None, count: int, terms: Callable[[str], str], now: datetime
) -> dict[str, Any] | None:
    """The page, logged and kept; None where the decision itself refuses."""
    provision, caller = told.provision, _caller(told.provision, by)
    whole = Whole(provision.subject_id, low=provision.data_low, high=provision.data_high, count=count)
    try:
        found = Records.opened_by(caller, now=now).everything(whole, cursor=cursor, keep=told.keep)
    except Refused:
        return None
    except BadSearch:
        raise Refusal("続きの印が不正です / not a page of this provision", place="after") from None
    items = [f"{entry.reference}/_history/{entry.version}" for entry in found.entries]
    provisions.delivered(provision=provision, items=items, last=found.cursor is None, by=caller, now=now)
    return _bundle(told, found, terms(told.terms), now)


def _caller(provision: Provision, by: Caller) -> Caller:
    """Who reads: the recipient it was judged for (its processor acts as it), for this provision, and nothing else."""
    recipient = recipients.principal(provision.request.asked_by)
    return Caller(
        client=by.client, capacity=Capacity.SYSTEM, purpose=provision.purpose, doors=DOORS,
        organization=recipient.organization_id, subject=provision.subject_id, request=by.request, token=by.token,
        provision=str(provision.pk),
    )  # fmt: skip


def _bundle(told: Judged, found: Page, terms: str, now: datetime) -> dict[str, Any]:
    """R4 Bundle: refrain labels on the whole and on each resource; the terms; the next page as a link."""
    refrain = [DELETE_AFTER_USE] if told.provision.request.onward else [NO_REDISCLOSURE, DELETE_AFTER_USE]
    beside = [entry for entry in found.included if entry.type in DEFINITIONS]
    links = [{"relation": "terms-of-service", "url": terms}]
    if found.cursor is not None:
        links.append({"relation": "next", "url": f"?after={found.cursor}"})
    return {
        "resourceType": "Bundle", "meta": {"security": refrain}, "type": "collection", "timestamp": now.isoformat(),
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{told.provision.pk}"}, "link": links,
        "entry": [_entry(entry, refrain) for entry in (*found.entries, *beside)],
    }  # fmt: skip


def _entry(entry: Stored, refrain: list[dict[str, str]]) -> dict[str, Any]:
    """Its own labels stay here (they are sensitive themselves); what the recipient must refrain from goes along."""
    resource = labels.removed(body.parse(entry.body or b"{}"))
    resource["meta"] = {**resource.get("meta", {}), "security": refrain}
    return {"fullUrl": f"urn:tsumugi:{entry.reference}", "resource": resource}
