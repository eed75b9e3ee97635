"""One line, one statement, append-only; sealed so that any change shows."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from io import StringIO
from threading import Event as Signal
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.utils import OperationalError

from consent import audit, keys, merkle, payload, prepared, tasks
from consent.audit import AuditUnavailable, Event, UndeclaredDetail
from consent.decide import Caller, Capacity
from consent.models import AuditBatch, AuditEntry, Subject
from consent.scope import Door
from consent.sealing import head_of, leaf_of, seal, unsealed, verify
from consent.signing import NoSigningKey, signing_key
from tests.lines import told_by
from tests.sealing import seal_all, settled

KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
CALLER = Caller(
    client="app", capacity=Capacity.GUARDIAN, purpose="FAMRQT", doors=(Door("*", "rs"),), person=7, subject=uuid4(),
    request="req-1",
)  # fmt: skip


@pytest.mark.django_db
def test_a_line_says_who_did_what(now: datetime, round_trips: list[str]) -> None:
    detail = {"type": "Observation", "id": "a", "version": 1, "because": ("own record", "x")}
    audit.record(Event.RECORD_READ, by=CALLER, subject=CALLER.subject, now=now, detail=detail)
    line = AuditEntry.objects.get()
    assert (line.event, line.subject, line.person, line.organization) == ("record:read", CALLER.subject, 7, None)
    assert (line.client, line.capacity, line.purpose, line.request) == ("app", "guardian", "FAMRQT", "req-1")
    assert (line.at, len(line.salt), line.xid > 0) == (now, 16, True)
    assert told_by(line)["because"] == ["own record", "x"]


@pytest.mark.django_db
def test_a_search_leaves_one_line_per_patient(now: datetime, round_trips: list[str]) -> None:
    found = [Subject.objects.create(created_at=now).pk for _ in range(2)]
    told = {found[0]: {"count": 3}, found[1]: {"count": 1}, None: {"count": 0}}
    payload.keys_of([None, *found])  # remembered from then on
    round_trips.clear()
    audit.record_many(Event.RECORD_SEARCHED, by=CALLER, told=told, now=now)
    audit.record_many(Event.RECORD_SEARCHED, by=CALLER, told={}, now=now)
    assert len(round_trips) == 1
    lines = AuditEntry.objects.all()
    assert {line.subject: told_by(line)["count"] for line in lines} == {found[0]: 3, found[1]: 1, None: 0}
    assert len({bytes(line.salt) for line in lines}) == 3


@pytest.mark.django_db
def test_one_key_that_does_not_open_takes_one_line_only(now: datetime) -> None:
    lost, other = (Subject.objects.create(created_at=now).pk for _ in range(2))
    audit.record_many(Event.RECORD_SEARCHED, by=CALLER, told={lost: {"count": 1}, other: {"count": 2}}, now=now)
    payload.forget([lost])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE consent_datakey SET kek = 'not-in-the-ring' WHERE subject_id = %s", [lost])
    lines = list(AuditEntry.objects.order_by("id"))
    assert dict(zip((line.subject for line in lines), audit.opened(lines), strict=True)) == {
        lost: None, other: {"count": 2},
    }  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("detail", [{"body": "x"}, {"reason": {"a": 1}}, {"because": [["x"]]}, {"count": 1.5}])
def test_only_declared_details_are_kept(now: datetime, detail: dict[str, object]) -> None:
    with pytest.raises(UndeclaredDetail):
        audit.record(Event.RECORD_READ, by=None, now=now, detail=detail)
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("hostile", ["a\x00b", "\ud800", "\\u0000", "x" * 5000, "見本", '"'])
def test_a_hostile_text_does_not_stop_the_log(now: datetime, hostile: str) -> None:
    by = Caller(client=hostile, capacity=Capacity.SYSTEM, purpose=hostile, doors=(), request=hostile)
    audit.record(Event.RECORD_REFUSED, by=by, now=now, detail={"id": hostile, "params": [hostile]})
    assert len(told_by(AuditEntry.objects.get())["id"]) <= audit.LONGEST


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_logged_is_an_exception(now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE consent_auditentry RENAME TO elsewhere")
    try:
        with pytest.raises(AuditUnavailable):
            audit.record(Event.RECORD_READ, by=CALLER, now=now)
        with pytest.raises(AuditUnavailable):
            audit.record_many(Event.RECORD_READ, by=CALLER, now=now, told={uuid4(): {}})
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO consent_auditentry")


def test_event_names_keep_to_the_grammar() -> None:
    for event in Event:
        subject, colon, verb = event.value.partition(":")
        assert subject.replace("-", "").isalpha()
        assert colon
        assert verb.replace("-", "").isalpha()
        assert len(event.value) <= 32


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["consent_auditentry", "consent_auditbatch"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {}=now()", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_log_refuses_every_change_even_by_its_owner(table: str, change: str, now: datetime) -> None:
    audit.record(Event.RECORD_READ, by=CALLER, now=now)
    AuditBatch.objects.create(
        sequence=1, sealed_at=now, entries=[1], leaves=b"", root=b"", previous_root=b"", signature=b"", key_id="",
        last_xid=1, last_entry=1,
    )  # fmt: skip
    column = "at" if table == "consent_auditentry" else "sealed_at"
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change.format(table, column))


# --- sealing: entries must be committed -------------------------------------------------------------------------


def _lines(now: datetime, number: int) -> None:
    for n in range(number):
        audit.record(Event.RECORD_READ, by=CALLER, subject=CALLER.subject, now=now, detail={"count": n})


def _problems(**more: object) -> list[str]:
    return verify(public_key=KEY.public_key(), **more)  # type: ignore[arg-type]


@contextmanager
def _tampering() -> Iterator[None]:
    """What only the owner of the tables can do: take the triggers off."""
    with connection.cursor() as cursor:
        for table in ("consent_auditentry", "consent_auditbatch"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        for table in ("consent_auditentry", "consent_auditbatch"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.fixture
def sealed(transactional_db: None, now: datetime) -> list[AuditBatch]:
    """Three batches of four, four and two entries, and one entry not yet sealed."""
    _lines(now, 10)
    batches = seal_all(now=now, key=KEY, largest=4)
    _lines(now, 1)
    return batches


def test_batches_follow_one_another(sealed: list[AuditBatch]) -> None:
    assert [len(b.entries) for b in sealed] == [4, 4, 2]
    assert [b.sequence for b in sealed] == [1, 2, 3]
    assert bytes(sealed[0].previous_root) == merkle.EMPTY
    assert bytes(sealed[2].previous_root) == bytes(sealed[1].root)
    assert unsealed() == 1
    assert _problems() == []
    assert _problems(heads={2: bytes(sealed[1].root)}) == []


def test_nothing_due_is_no_batch(transactional_db: None, now: datetime) -> None:
    assert seal(now=now, key=KEY) is None
    assert _problems() == []


def test_an_entry_can_be_proved_to_be_in_the_log(sealed: list[AuditBatch]) -> None:
    batch = sealed[1]
    leaves = [bytes(batch.leaves)[i : i + 32] for i in range(0, 32 * 4, 32)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, xid, at, event, subject, person, organization, client, capacity, purpose, request, version,"
            " key_version, detail, salt FROM consent_auditentry WHERE id = %s", [batch.entries[2]]
        )  # fmt: skip
        mine = leaf_of(cursor.fetchone())
    assert merkle.included(mine, 2, 4, merkle.proof(leaves, 2), bytes(batch.root))


CHANGES = {
    column: f"UPDATE consent_auditentry SET {column} = {value} WHERE id = %(entry)s"
    for column, value in {
        "at": "at + interval '1 microsecond'", "event": "'record:deleted'", "subject": "gen_random_uuid()",
        "person": "8", "organization": "1", "client": "'other'", "capacity": "'self'", "purpose": "'TREAT'",
        "request": "'req-2'", "detail": "set_byte(detail, 20, 255 - get_byte(detail, 20))", "version": "7",
        "key_version": "key_version + 1", "salt": "'\\x00112233445566778899aabbccddeeff'",
        "xid": "xid - 1",
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_entry_is_found(sealed: list[AuditBatch], column: str) -> None:
    with _tampering(), connection.cursor() as cursor:
        cursor.execute(CHANGES[column], {"entry": sealed[1].entries[1]})
        assert cursor.rowcount == 1
    assert any(f"entry {sealed[1].entries[1]} was changed" in p for p in _problems())


def test_a_removed_entry_is_found(sealed: list[AuditBatch]) -> None:
    with _tampering():
        AuditEntry.objects.filter(pk=sealed[0].entries[0])._raw_delete("default")
    assert _problems() == [f"batch 1: entry {sealed[0].entries[0]} was removed"]


def test_an_inserted_entry_is_found(sealed: list[AuditBatch], now: datetime) -> None:
    old = AuditEntry.objects.get(pk=sealed[0].entries[2])
    with _tampering():
        new = AuditEntry.objects.create(xid=old.xid, id=-5, at=now, event="record:read", salt=b"0" * 16)
    assert _problems() == [f"entry {new.pk} was inserted among sealed ones"]


def test_reordered_entries_are_found(sealed: list[AuditBatch]) -> None:
    first, second = sealed[0].entries[:2]
    with _tampering(), connection.cursor() as cursor:
        for entry, to in ((first, -1), (second, first), (-1, second)):
            cursor.execute("UPDATE consent_auditentry SET id = %s WHERE id = %s", [to, entry])
    assert len(_problems()) >= 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("sealed_at = sealed_at + interval '1 second'", "its signature does not hold"),
        ("root = sha256('x')", "its leaves do not give its root"),
        ("previous_root = sha256('x')", "does not follow the batch before it"),
        ("leaves = substr(leaves, 1, 96)", "its leaves do not give its root"),
        ("entries = entries[1:3]", "its leaves do not give its root"),
        ("entries = entries[2:4] || entries[1]", "was changed"),
        ("signature = decode(repeat('00', 64), 'hex')", "its signature does not hold"),
        ("key_id = 'other'", "signed by an unknown key"),
        ("last_entry = last_entry + 1", "does not end where it says"),
    ],
)
def test_a_changed_batch_is_found(sealed: list[AuditBatch], change: str, told: str) -> None:
    with _tampering(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE consent_auditbatch SET {change} WHERE sequence = 2")
    assert any(told in problem for problem in _problems())


def test_a_missing_batch_is_found(sealed: list[AuditBatch]) -> None:
    with _tampering():
        AuditBatch.objects.filter(pk=2)._raw_delete("default")
    assert "batch 3: batches are missing before it" in _problems()


def test_a_batch_resealed_with_another_key_is_found(sealed: list[AuditBatch], now: datetime) -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    last = sealed[-1]
    last.signature = other.sign(head_of(last))
    with _tampering():
        last.save()
    assert _problems() == ["batch 3: its signature does not hold"]


def test_only_a_published_head_tells_that_the_newest_batch_was_cut_off(sealed: list[AuditBatch]) -> None:
    with _tampering():
        AuditBatch.objects.filter(pk=3)._raw_delete("default")
        AuditEntry.objects.filter(pk__in=sealed[2].entries)._raw_delete("default")
    assert _problems() == []
    assert _problems(heads={3: bytes(sealed[2].root)}) == ["batch 3: not the head that was published"]


def test_an_older_key_still_verifies(sealed: list[AuditBatch], now: datetime) -> None:
    new = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
    seal_all(now=now, key=new)
    assert any("unknown key" in p for p in verify(public_key=new.public_key()))
    assert verify(public_key=new.public_key(), older_keys=[KEY.public_key()]) == []


def _in_thread(work: Callable[[], None]) -> Future[None]:
    """Run on a connection of its own; `result()` waits and raises what was raised there."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    pool.shutdown(wait=False)
    return future


def test_a_late_commit_is_sealed_later_never_skipped(transactional_db: None, now: datetime) -> None:
    keys.ready()
    written, commit = Signal(), Signal()

    def slow_writer() -> None:
        with transaction.atomic():
            _lines(now, 1)
            written.set()
            assert commit.wait(10)

    writer = _in_thread(slow_writer)
    assert written.wait(10)
    _lines(now, 2)  # committed, but after a transaction that still runs
    assert seal(now=now, key=KEY) is None
    commit.set()
    writer.result()
    [batch] = seal_all(now=now, key=KEY)
    assert len(batch.entries) == 3
    assert _problems() == []


def test_two_sealers_do_not_race(transactional_db: None, now: datetime) -> None:
    _lines(now, 12)
    settled()

    def sealer() -> None:
        while seal(now=now, key=KEY, largest=2):
            pass

    threads = [_in_thread(sealer) for _ in range(3)]
    for thread in threads:
        thread.result()
    entries = [e for b in AuditBatch.objects.order_by("sequence") for e in b.entries]
    assert len(entries) == len(set(entries)) == 12
    assert _problems() == []


def test_the_task_and_the_command(transactional_db: None, now: datetime, settings: object) -> None:
    settings.PHR_AUDIT_KEY = base64.b64encode(b"s" * 32).decode()  # type: ignore[attr-defined]
    _lines(now, 3)
    settled()
    assert tasks.seal_audit() == 1
    out = StringIO()
    call_command("verify_audit", stdout=out)
    assert "1 batches, 0 not yet sealed" in out.getvalue()
    head = out.getvalue().split()[-1]
    call_command("verify_audit", head=[head], stdout=out)
    with pytest.raises(CommandError) as refused:
        call_command("verify_audit", head=["1:" + "00" * 32], stdout=out, stderr=StringIO())
    assert refused.value.returncode == 1
    for bad in ({"head": ["x"]}, {"public_key": "!"}, {"old_key": ["AA=="]}):
        with pytest.raises(CommandError):
            call_command("verify_audit", stdout=out, **bad)


@pytest.mark.parametrize("told", ["", "?", "AA==", base64.b64encode(b"x" * 33).decode()])
def test_a_wrong_signing_key_is_told_without_showing_it(told: str) -> None:
    with pytest.raises(NoSigningKey, match="PHR_AUDIT_KEY") as refused:
        signing_key(told)
    assert not told or told not in str(refused.value)


@pytest.mark.django_db
def test_a_broken_connection_is_unavailable(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(connection, "cursor", broken)
    monkeypatch.setattr(prepared, "_cursor", broken)
    with pytest.raises(AuditUnavailable):
        audit.record(Event.RECORD_READ, by=None, now=now)


def test_details_are_plain_json() -> None:
    text, version = audit._detail({"params": ("code", "date"), "version": 3})
    assert (json.loads(text), version) == ({"params": ["code", "date"]}, 3)
