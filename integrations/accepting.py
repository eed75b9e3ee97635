"""Taking an input in: seal it, keep it as a run, wake a worker. Nothing is read here beyond sizes and set numbers."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import IntegrityError, transaction

from consent import audit
from consent.audit import Event
from consent.decide import Caller
from consent.keys import Erased
from integrations import authority
from integrations.base import Connector
from integrations.ids import digest
from integrations.incoming import Part
from integrations.models import ImportPart, ImportRun
from phr.celery import app
from phr.records import vault
from phr.records.authority import as_json
from phr.records.gateway import Forbidden, NotFound, Records

log = logging.getLogger(__name__)

OPEN = (ImportRun.State.ACCEPTED, ImportRun.State.RUNNING, ImportRun.State.WAITING)
ENDED_BADLY = (ImportRun.State.REFUSED, ImportRun.State.FAILED)
NO_PATIENCE = {"max_retries": 0, "socket_connect_timeout": 2}  # nobody waits for a broker that is away
MOST_PARTS = 99
MOST_OPEN = 50  # runs one requester may have open at a time


class TooLarge(Exception):
    """The parts together are larger, or more, than the connector takes."""


class TooMany(Exception):
    """This requester has too many imports open."""


def accept(
    connector: Connector, parts: Sequence[Part], *, subject: UUID, by: Caller, now: datetime, wake: bool = True
) -> ImportRun:
    """Keep the parts as a run and wake a worker.

    The same input from the same requester is the same run; a part of a set joins the open run of its set. Raises
    TooLarge, TooMany, Forbidden (the token lacks `c` for what the connector writes), and Refused or NotFound where the
    caller may not act for the subject, or there is none.
    """
    if sum(len(part.data) for part in parts) > connector.MAX_BYTES or len(parts) > MOST_PARTS:
        raise TooLarge
    if not authority.may_create(by, connector.NEEDS):
        raise Forbidden(f"the token does not cover {connector.NEEDS} 'c'")
    authority.patient_for(by, subject, now=now)
    run = _kept(connector, parts, subject=subject, by=by, now=now)
    if wake and run.state == ImportRun.State.ACCEPTED:
        wake_worker(run.pk)
    return run


def visible(id: UUID, *, by: Caller, now: datetime) -> ImportRun:
    """One run of this caller's own, while the caller may still act. Raises NotFound or Refused."""
    Records.opened_by(by, now=now)
    own = ImportRun.objects.filter(pk=id, requested_by=by.person, organization=by.organization)
    if by.person is None:
        own = own.filter(client=by.client)
    if by.subject is not None:
        own = own.filter(subject=by.subject)
    run = own.first()
    if run is None:
        raise NotFound(f"import {id}")
    return run


def wake_worker(id: UUID) -> None:
    """Tell a worker after the commit. Should the broker be away, the sweep finds the run."""
    wake("integrations.tasks.run_import", str(id))


def wake(task: str, id: str) -> None:
    """Send a task after the commit. A lost message is no loss: a sweep finds what is due."""
    transaction.on_commit(partial(_send, task, id))


def _send(task: str, id: str) -> None:
    try:
        with app.connection_for_write() as connection:
            connection.transport_options = NO_PATIENCE
            app.send_task(task, args=[id], connection=connection, retry=False)
    except Exception as error:  # noqa: BLE001  whatever a broker may raise: the row is kept, the sweep goes on
        log.warning("no broker for import %s (%s); the sweep will find it", id, type(error).__name__)


def _kept(connector: Connector, parts: Sequence[Part], *, subject: UUID, by: Caller, now: datetime) -> ImportRun:
    """The run these parts belong to: the one that is there, the open one of their set, or a new one."""
    mine = ImportRun.objects.filter(
        kind=connector.KIND, subject=subject, requested_by=by.person, organization=by.organization, client=by.client
    )
    shared = connector.set_of(parts)
    set_key = digest(connector.KIND, str(subject), shared) if shared else ""
    for _ in range(3):  # a concurrent request may win once, and its run may end meanwhile
        try:
            with transaction.atomic():
                same = mine.filter(sha256=_sha256(parts)).exclude(state__in=ENDED_BADLY).first()
                if same:
                    return same
                gathering = (
                    mine.filter(state__in=OPEN, set_key=set_key).select_for_update().first() if set_key else None
                )
                return _gather(gathering, parts, now=now) if gathering else _new(
                    connector, parts, set_key, subject=subject, by=by, now=now
                )  # fmt: skip
        except IntegrityError:
            continue
    raise TooMany


def _new(connector: Connector, parts: Sequence[Part], set_key: str, *, subject: UUID, by: Caller,
         now: datetime) -> ImportRun:  # fmt: skip
    asked = ImportRun.objects.filter(requested_by=by.person, organization=by.organization, state__in=OPEN)
    if asked.count() >= MOST_OPEN:
        raise TooMany
    run = ImportRun.objects.create(
        kind=connector.KIND, subject_id=subject, requested_by_id=by.person, organization_id=by.organization,
        client=by.client, authority=as_json(by), sha256=_sha256(parts), set_key=set_key,
        created_at=now, heartbeat_at=now,
    )  # fmt: skip
    _keep_parts(run, parts)
    detail = {"run": str(run.pk), "connector": run.kind, "file_sha256": run.sha256}
    audit.record(Event.IMPORT_ACCEPTED, by=by, subject=subject, now=now, detail=detail)
    return run


def _gather(run: ImportRun, parts: Sequence[Part], *, now: datetime) -> ImportRun:
    """Add parts to the open run of their set. If that makes it an input already imported, that run is the answer."""
    _keep_parts(run, parts)
    run.sha256 = _joined(run.parts.values_list("sha256", flat=True))
    earlier = ImportRun.objects.filter(
        kind=run.kind, subject=run.subject_id, requested_by=run.requested_by_id, organization=run.organization_id,
        client=run.client, sha256=run.sha256, state=ImportRun.State.DONE,
    ).first()  # fmt: skip
    if earlier:
        run.delete()
        return earlier
    run.state, run.attempts, run.claim, run.heartbeat_at = ImportRun.State.ACCEPTED, 0, None, now
    run.save(update_fields=["sha256", "state", "attempts", "claim", "heartbeat_at"])
    return run


def _keep_parts(run: ImportRun, parts: Sequence[Part]) -> None:
    try:
        key = vault.keys_for([run.whose])[run.whose]
    except Erased:
        raise NotFound(str(run.whose)) from None
    ImportPart.objects.bulk_create(
        [
            ImportPart(
                run=run, sha256=_of(part), index=part.index, total=part.total, set_id=part.id, key_version=key.version,
                sealed=vault.seal(part.data, place=_place(run, _of(part)), subjects=(run.whose,), keys=(key,)),
            )
            for part in parts
        ],
        ignore_conflicts=True,
    )  # fmt: skip


def opened(run: ImportRun) -> list[Part]:
    """The parts of a run as they came, in the order they came. Raises vault.CannotOpen."""
    keys = vault.all_keys(run.whose)
    return [
        Part(
            vault.unseal(
                bytes(kept.sealed), place=_place(run, kept.sha256), subjects=(run.whose,),
                keys=[keys.get(kept.key_version)], version=kept.key_version,
            ),
            kept.index, kept.total, kept.set_id,
        )
        for kept in run.parts.order_by("pk")
    ]  # fmt: skip


def _place(run: ImportRun, sha256: str) -> str:
    return f"import|{run.pk}|{sha256}"


def _of(part: Part) -> str:
    return hashlib.sha256(part.data).hexdigest()


def _sha256(parts: Sequence[Part]) -> str:
    return _joined(map(_of, parts))


def _joined(hashes: Iterable[str]) -> str:
    """One hash for a set of parts, in whatever order and how often they were read."""
    return digest(*sorted(set(hashes)))
