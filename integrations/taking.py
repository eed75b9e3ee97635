"""Taking in the input of a feed: seal it, keep it as a run, wake a worker. Nothing is read here but its size."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from consent import audit
from consent.audit import Event
from consent.decide import Caller, Capacity
from consent.models import Organization
from consent.scope import Door, Purpose
from integrations import accepting, authority, originals
from integrations.accepting import TooMany
from integrations.items import Feed, Piece
from integrations.models import ImportRun
from integrations.originals import TooLarge
from phr.records.authority import as_json
from phr.records.gateway import Forbidden, Records, Refused

__all__ = ["TooLarge", "TooMany", "UnknownProfile", "caller_for", "take", "visible"]

State = ImportRun.State
OPEN = (State.ACCEPTED, State.RUNNING, State.PAUSED, State.REPORTED)


class UnknownProfile(LookupError):
    """The feed has source profiles, and this is none of them; `known`: their names."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(", ".join(known))
        self.known = known


class _Same(Exception):
    """An open run has this very input."""


def caller_for(organization: Organization, *, client: str) -> Caller:
    """The authority of an organisation whose input an operator or a watched folder brings, without a token."""
    municipal = organization.kind == Organization.Kind.MUNICIPALITY
    return Caller(
        client=client, capacity=Capacity.SYSTEM, purpose=Purpose.PUBHLTH if municipal else Purpose.TREAT,
        doors=(Door("*", "cruds"),), organization=organization.pk,
    )  # fmt: skip


def take(
    feed: Feed,
    pieces: Iterable[Piece],
    *,
    organization: Organization,
    by: Caller,
    now: datetime,
    profile: str = "",
    dry: bool = False,
    wake: bool = True,
) -> ImportRun:
    """Keep the pieces, sealed, as a run of this organisation and wake a worker. They are read to their end, once.

    The same input while the first is still open is the same run. Raises TooLarge, TooMany, UnknownProfile, Forbidden
    (the token lacks `c` for what the feed writes, or this kind of organisation does not send it), Refused.
    """
    may_send(feed, organization=organization, by=by, profile=profile, now=now)
    asked = ImportRun.objects.filter(requested_by=by.person, organization=organization, subject=None, state__in=OPEN)
    if asked.count() >= accepting.MOST_OPEN:
        raise TooMany
    run = ImportRun(
        id=uuid4(), kind=feed.KIND, profile=profile, dry=dry, requested_by_id=by.person, organization=organization,
        client=by.client, authority=as_json(by), sha256=uuid4().hex, created_at=now, heartbeat_at=now,
    )  # fmt: skip
    try:
        with transaction.atomic():
            _keep(run, feed, pieces, by=by, now=now)
    except _Same:
        return ImportRun.objects.get(
            kind=run.kind, profile=profile, dry=dry, requested_by=by.person, organization=organization,
            client=by.client, sha256=run.sha256, subject=None, state__in=OPEN,
        )  # fmt: skip
    if wake:
        accepting.wake_worker(run.pk)
    return run


def _keep(run: ImportRun, feed: Feed, pieces: Iterable[Piece], *, by: Caller, now: datetime) -> None:
    run.save(force_insert=True)
    originals.keep(run, pieces, limit=feed.MAX_BYTES)
    try:
        with transaction.atomic():
            run.save()
    except IntegrityError:
        raise _Same from None
    detail: audit.Detail = {"run": str(run.pk), "connector": run.kind, "file_sha256": run.sha256}
    audit.record(Event.IMPORT_ACCEPTED, by=by, now=now, detail=detail)


def may_send(feed: Feed, *, organization: Organization, by: Caller, profile: str, now: datetime) -> None:
    """Raises Forbidden, UnknownProfile or Refused where this caller may not bring such an input."""
    if by.capacity not in (Capacity.STAFF, Capacity.SYSTEM) or by.organization != organization.pk or by.subject:
        raise Refused("only an organisation brings what names many people")
    if not authority.may_create(by, feed.NEEDS):
        raise Forbidden(f"the token does not cover {feed.NEEDS} 'c'")
    if organization.kind not in feed.SENDERS:
        raise Forbidden(f"{feed.KIND} is not for an organisation of the kind {organization.kind}")
    known = tuple(sorted(feed.profiles()))
    if (profile or known) and profile not in known:
        raise UnknownProfile(known)
    Records.opened_by(by, now=now)


def visible(id: UUID, *, by: Caller, now: datetime) -> ImportRun | None:
    """A run of the caller's organisation, or None. Raises Refused where the caller may not act at all."""
    if by.capacity not in (Capacity.STAFF, Capacity.SYSTEM) or by.organization is None or by.subject:
        return None
    Records.opened_by(by, now=now)
    return ImportRun.objects.filter(pk=id, organization=by.organization, subject=None).first()
