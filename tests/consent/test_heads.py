"""Heads outside the database: a file that only grows, an address that is asked again until it takes them."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.db import connection

from consent import audit, heads, outside, tasks
from consent.audit import Event
from consent.models import AuditBatch, AuditEntry, PublishedHead
from tests.consent.test_audit import _tampering
from tests.sealing import seal_all, settled

KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


class Taker(BaseHTTPRequestHandler):
    taken: list[bytes] = []
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if type(self).status < 300:
            self.taken.append(body)
        self.send_response(type(self).status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def taker(settings: Any) -> Iterator[type[Taker]]:
    Taker.taken, Taker.status = [], 200
    server = HTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.DEMO = True  # loopback, without TLS
    settings.PHR_AUDIT_HEADS_URL = f"http://127.0.0.1:{server.server_port}/heads"
    yield Taker
    server.shutdown()
    server.server_close()


@pytest.fixture
def file(tmp_path: Path, settings: Any) -> Path:
    settings.PHR_AUDIT_HEADS_FILE = str(tmp_path / "heads")
    return tmp_path / "heads"


def sealed(now: datetime, batches: int) -> None:
    for _ in range(batches):
        audit.record(Event.RECORD_READ, by=None, now=now)
        assert seal_all(now=now, key=KEY)


@pytest.mark.django_db(transaction=True)
def test_the_file_gets_every_head_once_and_in_order(now: datetime, file: Path) -> None:
    sealed(now, 2)
    assert heads.publish(now=now) == 2
    assert heads.publish(now=now) == 0
    sealed(now, 1)
    assert heads.publish(now=now) == 1
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["head"]["sequence"] for one in told] == [1, 2, 3]
    assert heads.read(file) == {b.sequence: bytes(b.root) for b in AuditBatch.objects.all()}
    assert file.stat().st_mode & 0o077 == 0
    file.unlink()
    assert heads.publish(now=now) == 3  # a file that was lost is written anew


@pytest.mark.django_db(transaction=True)
def test_an_address_is_asked_again_until_it_takes_the_head(now: datetime, taker: type[Taker]) -> None:
    sealed(now, 2)
    for refusal in (503, 302):
        taker.status = refusal
        assert heads.publish(now=now) == 0
        assert not PublishedHead.objects.exists()
    taker.status = 200
    assert heads.publish(now=now) == 2
    assert heads.publish(now=now) == 0
    [first, second] = [json.loads(body) for body in taker.taken]
    key = KEY.public_key()
    for told in (first, second):
        signed = json.dumps(told["head"], sort_keys=True, separators=(",", ":")).encode()
        key.verify(base64.b64decode(told["signature"]), signed)
    assert second["head"]["previous_root"] == first["head"]["root"]


@pytest.mark.parametrize("url", [
    "http://example.com/x", "https://127.0.0.1/x", "https://10.0.0.1/", "https://169.254.169.254/latest", "ftp://x/",
    "https://user@example.com/", "https://[::1]/", "file:///etc/passwd", "https://localhost/",
])  # fmt: skip
def test_no_address_inside_is_asked(url: str, settings: Any) -> None:
    settings.DEMO = False
    with pytest.raises(outside.NotDelivered):
        outside.post(url, b"{}")


@pytest.mark.django_db(transaction=True)
def test_cutting_the_log_off_is_found_by_the_file_alone(now: datetime, file: Path, settings: Any) -> None:
    for _ in range(3):
        audit.record(Event.RECORD_READ, by=None, now=now)
        seal_all(now=now)
    heads.publish(now=now)
    call_command("verify_audit", heads=file, stdout=StringIO())
    with _tampering(), connection.cursor() as cursor:
        last = AuditBatch.objects.latest("sequence")
        cursor.execute("DELETE FROM consent_auditentry WHERE id = ANY(%s)", [last.entries])
        cursor.execute("DELETE FROM consent_auditbatch WHERE sequence = %s", [last.pk])
    call_command("verify_audit", stdout=StringIO())  # by itself it looks whole
    told = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_audit", heads=file, stdout=StringIO(), stderr=told)
    assert "batch 3: not the head that was published" in told.getvalue()


@pytest.mark.django_db(transaction=True)
def test_a_broken_file_stops_neither_sealing_nor_says_all_is_well(now: datetime, file: Path) -> None:
    sealed(now, 1)
    file.write_text("not a head\n")
    assert heads.publish(now=now) == 0
    audit.record(Event.RECORD_READ, by=None, now=now)
    settled()
    assert tasks.seal_audit() == 1
    assert heads.behind("file") is not None
    with pytest.raises(heads.UnreadableHeads):
        heads.read(file)
    assert AuditEntry.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lost", [1, 40])  # the newline only; half of the line
def test_a_torn_last_line_is_mended(now: datetime, file: Path, lost: int, caplog: pytest.LogCaptureFixture) -> None:
    sealed(now, 2)
    heads.publish(now=now)
    whole = file.read_bytes()
    os.truncate(file, len(whole) - lost)
    sealed(now, 1)
    heads.publish(now=now)
    assert list(heads.read(file)) == [1, 2, 3]
    assert file.read_bytes().startswith(whole)
    assert ("torn" in caplog.text) == (lost > 1)


@pytest.mark.django_db(transaction=True)
def test_a_file_that_was_cut_sounds_the_alarm(now: datetime, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    sealed(now, 2)
    heads.publish(now=now)
    assert not heads.cut()
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    assert heads.cut()
    assert heads.publish(now=now) == 1
    assert "was cut: it ends at 1, and 2 was published" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_head_is_written_whole(now: datetime, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda where, told: write(where, told[:50]))  # as a disk nearly full does
    sealed(now, 2)
    heads.publish(now=now)
    assert list(heads.read(file)) == [1, 2]
