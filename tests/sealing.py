"""Sealing all that was written, in a test.

A seal takes what lies before the oldest transaction that still runs anywhere on the server: whoever seals at once may
leave the last lines for later. Only committed lines count: `@pytest.mark.django_db(transaction=True)`.
"""

from __future__ import annotations

from datetime import datetime
from time import monotonic, sleep

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import connection
from django.utils import timezone

from consent import sealing
from consent.models import AuditBatch
from consent.signing import signing_key

PATIENCE = 300  # seconds; some test beside this one may work in one long transaction
PAST = "SELECT coalesce(max(xid), 0) < pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM consent_auditentry"


def settled() -> None:
    """Wait until every line there is may be sealed."""
    assert not connection.in_atomic_block, "in a transaction of the test's own nothing is ever sealed"
    deadline = monotonic() + PATIENCE
    with connection.cursor() as cursor:
        while cursor.execute(PAST).fetchone() != (True,):
            assert monotonic() < deadline, "some transaction does not end"
            sleep(0.02)


def seal_all(
    *, now: datetime | None = None, key: Ed25519PrivateKey | None = None, largest: int = sealing.LARGEST
) -> list[AuditBatch]:
    """Seal every line there is; the new batches. With the key of the settings where none is given."""
    settled()
    batches = []
    key = key or signing_key(settings.PHR_AUDIT_KEY)
    while batch := sealing.seal(now=now or timezone.now(), key=key, largest=largest):
        batches.append(batch)
    assert sealing.unsealed() == 0
    return batches
