"""Which clients the trust lets link identities. Asked with every question, not at the token's issue alone."""

from __future__ import annotations

from consent.decide import Caller, Capacity
from consent.scope import Purpose
from phr.smart.models import Application


def may_link(caller: Caller) -> bool:
    """Whether this is a link request: an organisation's system, for the signed purpose, that still may."""
    return (
        caller.capacity is Capacity.SYSTEM
        and caller.purpose == Purpose.PATADMIN
        and Application.objects.filter(client_id=caller.client, may_link=True, is_active=True).exists()
    )
