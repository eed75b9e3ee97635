"""How fast a hospital's messages come in: a storage read and stored by one worker, and single messages over MLLP."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator
from datetime import datetime
from uuid import uuid4

from django.utils import timezone

from consent.models import Organization, Subject
from integrations import running, taking
from integrations.hl7.listening import answered
from integrations.items import Piece
from integrations.ssmix2 import connector
from phr.records import systems
from phr.records.gateway import Records
from tests.benchmarks.measurements import Bench
from tests.benchmarks.table import row

PEOPLE, EACH = 100, 30
ITEMS = ("3D045000001906202^HbA1c(NGSP)", "3B035000002327201^AST", "3B045000002327201^ALT", "3C015000002327101^ＣＲＥ")
Message = tuple[str, bytes]


def ssmix2(bench: Bench) -> None:
    if bench.options.only in ("", "ssmix2"):
        now = timezone.now()
        storage(
            Organization.objects.create(name="見本病院", kind="hospital", code="1319999991", class_from=now), now=now
        )


def register(hospital: Organization, *, now: datetime) -> list[str]:
    """People this hospital knows by its own numbers."""
    numbers = [f"{7_000_000 + n}" for n in range(PEOPLE)]
    subjects = [Subject.objects.create(birth_on=now.date().replace(year=1990), created_at=now) for _ in numbers]
    born = now.date().replace(year=1990).isoformat()
    Records.opened_by(taking.caller_for(hospital, client="benchmark"), now=now).create_all(
        [
            {
                "resourceType": "Patient", "id": str(subject.pk), "birthDate": born, "gender": "female",
                "identifier": [{"system": systems.PATIENT_AT_INSTITUTION + hospital.code, "value": number}],
            }
            for subject, number in zip(subjects, numbers, strict=True)
        ],
        keep_ids=True,
    )  # fmt: skip
    return numbers


def messages(numbers: list[str], *, born: str) -> Iterator[Message]:
    """Visits, laboratory results of four items, and prescriptions of two drugs, as a hospital has them."""
    for number in numbers:
        for n in range(EACH):
            day = f"2026{1 + n // 28:02}{1 + n % 28:02}"
            kind = ("OML-11", "OMP-01", "ADT-12")[n % 3]
            yield _path(number, day, kind, n), _message(number, day, kind, n, born)


def _path(number: str, day: str, kind: str, n: int) -> str:
    order = f"{n:015}" if kind != "ADT-12" else "9" * 15
    name = f"{number}_{day}_{kind}_{order}_{day}101500000_01_1"
    return f"{number[:3]}/{number[3:6]}/{number}/{day}/{kind}/{name}"


def _message(number: str, day: str, kind: str, n: int, born: str) -> bytes:
    event = {"OML-11": "OUL^R22^OUL_R22", "OMP-01": "RDE^O11^RDE_O11", "ADT-12": "ADT^A04^ADT_A01"}[kind]
    head = [
        f"MSH|^~\\&|HIS|SEND|GW|RCV|{day}101500||{event}|{uuid4().hex[:20]}|P|2.5||||||~ISO IR87||ISO 2022-1994",
        f"PID|0001||{number}^^^^PI||見本^花子^^^^^L^I~ミホン^ハナコ^^^^^L^P||{born}|F",
        "|".join(["PV1", "0001", "O", "01^^^^^C", *[""] * 6, "01", *[""] * 33, day]),
    ]
    drug = "999999901^見本アムロジピン錠５ｍｇ^HOT9|1||TAB^錠^MR9P|||||28|TAB^錠^MR9P||||||||1^TAB&錠&MR9P"
    body = {
        "ADT-12": [],
        "OML-11": [
            f"SPM|1|S{n}||023^血清^JC10|||||||||||||{day}0930", f"OBR|1|{n:015}|S{n}|E001^生化学^99O03|||{day}",
            *(f"OBX|{at}|NM|{item}^JC10||{n + at}.5|mg/dL^mg/dL^99XYZ|1.0-40.0|H|||F" for at, item in enumerate(ITEMS)),
        ],
        "OMP-01": [
            line for at in (1, 2) for line in (
                f"ORC|NW|{n:015}||{n:015}_0{at}_001|||||{day}101600|||607^医師^一郎^^^^^^^L^^^^^I", f"RXE||{drug}",
                f"TQ1|1||1011000400000000&内服・経口・１日１回朝食後&JAMISDP01|||28^d|{day}", "RXR|PO^口^HL70162",
            )
        ],
    }[kind]  # fmt: skip
    return "".join(line + "\r" for line in [*head, *body]).encode("iso2022_jp_ext") + b"\x1c\r"


def _tarred(entries: list[Message]) -> Piece:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for path, data in entries:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return Piece("tree.tar", io.BytesIO(held.getvalue()))


def storage(hospital: Organization, *, now: datetime) -> None:
    """One worker: the tree sealed, read twice, resolved, mapped, validated, indexed, audited, stored."""
    numbers = register(hospital, now=now)
    entries = list(messages(numbers, born=now.date().replace(year=1990).strftime("%Y%m%d")))
    by = taking.caller_for(hospital, client="benchmark")
    begin = time.perf_counter()
    run = taking.take(connector, [_tarred(entries)], organization=hospital, by=by, now=now, wake=False)  # type: ignore[arg-type]
    running.run(run.pk, clock=timezone.now)
    seconds = time.perf_counter() - begin
    run.refresh_from_db()
    told = f"{len(entries):,} messages, {run.created:,} resources, {run.refused_items} refused, {run.state}"
    row("SS-MIX2 storage, one worker", f"{len(entries) / seconds:,.0f} messages/s", told)
    wire(hospital, entries[:300])


def wire(hospital: Organization, entries: list[Message]) -> None:
    """As one sender over MLLP has it: each message is a transaction and an answer."""
    fresh = [data.replace(b".5|mg", b".7|mg").replace(b"_001|", b"_002|") for _, data in entries]
    begin = time.perf_counter()
    answers = [answered(data, organization=hospital, profile="", now=timezone.now()) for data in fresh]
    seconds = time.perf_counter() - begin
    kept = sum(b"MSA|AA|" in answer for answer in answers)
    row(
        "HL7 messages one by one, each committed",
        f"{len(fresh) / seconds:,.0f} messages/s",
        f"{kept} of {len(fresh)} AA",
    )
