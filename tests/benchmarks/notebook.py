"""How long a medication notebook of 30 drugs takes, from its bytes to the record, and out again as QR symbols."""

from __future__ import annotations

import statistics
import time
from typing import Any
from uuid import UUID

from django.utils import timezone

from consent.decide import Caller
from consent.models import Person
from integrations import accepting, dispensed, notebook, running
from integrations.base import connector
from integrations.incoming import Part
from integrations.jahis_qr import symbols
from integrations.models import ImportRun
from phr.records import body
from phr.records.gateway import Records
from phr.trust.acting import Capacity, caller_for
from tests.benchmarks.measurements import Bench
from tests.benchmarks.table import row

DRUGS, ROUNDS = 30, 12


def jahis(bench: Bench) -> None:
    if bench.options.only not in ("", "notebook"):
        return
    people = bench.mothers[:ROUNDS]
    seconds, again, out = [], [], []
    for person in people:
        by = caller_for(person, _subject(person), Capacity.SELF, client="benchmark")
        data = _notebook(body.parse(_records(by).read("Patient", str(by.subject)).body or b"{}"))
        seconds.append(_import(data, by))
        again.append(_import(data + b"\r\n", by))
        begin = time.perf_counter()
        text, _ = notebook.text_of(_records(by), _subject(person))
        made = symbols.symbols(text, split="911")
        out.append(time.perf_counter() - begin)
        assert len(dispensed.merged(_records(by), _subject(person))[0]) >= DRUGS
        assert len(made) > 1
    row(
        f"JAHIS notebook of {DRUGS} drugs, stored",
        f"{statistics.median(seconds) * 1000:.0f} ms",
        f"longest {max(seconds) * 1000:.0f} ms; another file of the same {statistics.median(again) * 1000:.0f} ms",
    )
    row(f"JAHIS notebook of {DRUGS} drugs, written out", f"{statistics.median(out) * 1000:.0f} ms", "as QR symbols")


def _subject(person: Person) -> UUID:
    found = person.own_subject_id
    assert found is not None
    return found


def _records(by: Caller) -> Records:
    return Records.opened_by(by, now=timezone.now())


def _import(data: bytes, by: Caller) -> float:
    assert by.subject is not None
    begin = time.perf_counter()
    run = accepting.accept(
        connector("jahis-qr"), [Part(data)], subject=by.subject, by=by, now=timezone.now(), wake=False
    )
    running.run(run.pk, clock=timezone.now)
    taken = time.perf_counter() - begin
    run = ImportRun.objects.get(pk=run.pk)
    assert run.state == "done", run.problems
    return taken


def _notebook(patient: dict[str, Any]) -> bytes:
    """30 drugs of six visits in the words of a pharmacy, with remarks."""
    name = patient["name"][0]
    told = name.get("text") or name.get("family", "") + "".join(name.get("given", ()))
    sex = {"male": "1", "female": "2"}.get(patient.get("gender", ""), "")
    lines = ["JAHISTC08,1", f"1,{told},{sex},{patient['birthDate'].replace('-', '')},,,,,,,"]
    for visit in range(6):
        lines += [
            f"5,2026{visit + 1:02}12,1", "11,見本薬局,13,4,9999991,,,,1", "15,薬剤　次郎,,1",
            "51,見本クリニック,13,1,9999992,1", "55,医師　一郎,内科,1",
        ]  # fmt: skip
        for rp in range(1, DRUGS // 6 + 1):
            lines += [
                f"201,{rp},見本錠{visit}{rp}ｍｇ,{rp},錠,2,6200{visit}{rp:04},1", f"281,{rp},後発品へ変更,1",
                f"301,{rp},分１　朝食後,28,日分,1,1,,1",
            ]  # fmt: skip
        lines.append("501,次回は薬手帳をお持ちください,1")
    return "\r\n".join((*lines, "")).encode("cp932")
