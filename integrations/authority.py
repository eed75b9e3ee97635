"""On whose authority a run writes: the Caller as it asked, kept with the run and decided again when it runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from consent.decide import Caller
from consent.scope import Door
from integrations.models import ImportRun
from phr.records import body
from phr.records.authority import restored
from phr.records.gateway import Records


def caller_of(run: ImportRun) -> Caller:
    """The Caller that asked for this run."""
    return restored(run.authority, client=run.client, person=run.requested_by_id, organization=run.organization_id)


def patient_for(caller: Caller, subject: UUID, *, now: datetime) -> dict[str, Any]:
    """The Patient an import is compared with. Raises Refused, NotFound or Gone.

    Comparing is part of importing: it needs the capacity, but no door of its own in the token.
    """
    records = Records.opened_by(replace(caller, doors=(Door("Patient", "r"),)), now=now)
    return body.parse(records.read("Patient", str(subject)).body or b"{}")


def may_create(caller: Caller, type: str) -> bool:
    """Whether the token carries `c` for this type at all (step L0; the record decides the rest)."""
    return any(door.type in ("*", type) and "c" in door.letters for door in caller.doors)
