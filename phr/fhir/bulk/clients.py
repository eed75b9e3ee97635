"""Whose an export is, and whether that client may still have it."""

from __future__ import annotations

from consent.decide import Caller, Capacity
from consent.scope import Door
from phr.records import authority, vault
from phr.records.jobs import ExportJob
from phr.records.reading import Refused
from phr.smart.models import Application
from phr.smart.scopes import ScopeError, doors_of


def kept_caller(job: ExportJob) -> Caller:
    """The caller that asked."""
    return authority.restored(job.authority, client=job.client, person=None, organization=job.organization_id)


def caller_of(job: ExportJob) -> Caller:
    """The caller that asked, as long as its client is in use and may still ask as much. Raises Refused.

    The token may have ended meanwhile (it lives five minutes); what it rested on must stand.
    """
    caller = kept_caller(job)
    client = Application.objects.filter(
        client_id=job.client, organization_id=job.organization_id, is_active=True,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    ).first()  # fmt: skip
    if client is None:
        raise Refused("client stopped")
    try:
        allowed = doors_of(client.system_scopes, vault.index_key())
    except ScopeError:
        allowed = ()
    if not all(any(_under(door, ceiling) for ceiling in allowed) for door in caller.doors):
        raise Refused("client may ask less by now")
    return caller


def _under(door: Door, ceiling: Door) -> bool:
    return (
        ceiling.type in ("*", door.type)
        and set(door.letters) <= set(ceiling.letters)
        and set(ceiling.terms) <= set(door.terms)
    )


def is_backend(caller: Caller) -> bool:
    """Whether this is a backend service: a system client that acts for an organisation, for no one person."""
    return caller.capacity is Capacity.SYSTEM and caller.organization is not None and caller.subject is None


def owns(caller: Caller, job: ExportJob) -> bool:
    return is_backend(caller) and (job.client, job.organization_id) == (caller.client, caller.organization)
