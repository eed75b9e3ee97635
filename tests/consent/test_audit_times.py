"""Who may add to the log may write any time and any number into a line: verifying tells."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent import audit, sealing
from consent.audit import Event
from consent.models import AuditEntry
from tests.consent.test_audit import _tampering
from tests.sealing import seal_all

KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
DAY = timedelta(days=1)


def _sealed(now: datetime) -> None:
    audit.record(Event.RECORD_READ, by=None, now=now)
    assert seal_all(now=now, key=KEY)


def _problems() -> list[str]:
    return sealing.verify(public_key=KEY.public_key(), within=DAY)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("off", "found"), [(-900 * DAY, True), (DAY, True), (-DAY / 2, False), (timedelta(0), False)])
def test_a_line_that_tells_another_time_is_found(now: datetime, off: timedelta, found: bool) -> None:
    _sealed(now - timedelta(minutes=1))
    line = AuditEntry.objects.create(at=now + off, event="record:read", salt=b"0" * 16)
    _sealed(now)
    assert _problems() == (
        [f"batch 2: entry {line.pk} tells another time than its own: {sealing.plain(line.at)}"] if found else []
    )


@pytest.mark.django_db(transaction=True)
def test_lines_that_waited_for_the_worker_are_no_problem(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "LARGEST", 1)
    for _ in range(2):
        audit.record(Event.RECORD_READ, by=None, now=now - 3 * DAY)
    assert len(seal_all(now=now, key=KEY, largest=1)) == 2
    assert _problems() == []


@pytest.mark.django_db(transaction=True)
def test_a_line_of_no_transaction_is_found(now: datetime) -> None:
    _sealed(now)
    with _tampering():
        line = AuditEntry.objects.create(at=now, xid=9 * 10**18, event="record:read", salt=b"0" * 16)
    assert _problems() == [f"entry {line.pk} is of no transaction that ever was"]
