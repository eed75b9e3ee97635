"""On whose authority long work goes on: the Caller as it asked, kept with the work and decided again at every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from consent.decide import Caller, Capacity
from consent.scope import Door


def as_json(caller: Caller) -> dict[str, Any]:
    """What the columns of a work's row do not say: client, person and organization are columns."""
    return {
        "capacity": caller.capacity.value,
        "purpose": caller.purpose,
        "doors": [[d.type, d.letters, [sorted(choice) for choice in d.terms]] for d in caller.doors],
        "subject": str(caller.subject) if caller.subject else None,
        "request": caller.request,
        "token": caller.token,
    }


def restored(kept: Mapping[str, Any], *, client: str, person: int | None, organization: int | None) -> Caller:
    """The Caller that `as_json` kept."""
    return Caller(
        client=client,
        capacity=Capacity(kept["capacity"]),
        purpose=kept["purpose"],
        doors=tuple(Door(kind, letters, tuple(map(frozenset, terms))) for kind, letters, terms in kept["doors"]),
        person=person,
        organization=organization,
        subject=UUID(kept["subject"]) if kept["subject"] else None,
        request=kept["request"],
        token=kept["token"],
    )
