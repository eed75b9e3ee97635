"""`manage.py ingest`: each cause of a refusal in words of its own, what the COMMIT refuses, files of nothing."""

from __future__ import annotations

import gzip
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from phr.populate.cast import HANA, OBSTETRIC
from phr.records import ndjson
from phr.records.ingesting import Incoming
from phr.records.jobs import Ingest
from phr.records.store import Draft
from tests.family import KAI, Neighbourhood, encoded, pressure
from tests.fhir.bulk.test_ingest import Bringing, given, patient


@pytest.fixture
def bring(tmp_path: Path) -> Bringing:
    return Bringing(tmp_path, OBSTETRIC.code)


LINK = {"type": "seealso"}
CAUSES: list[tuple[dict[str, Any], str, str]] = [
    (patient("not-a-uuid"), "Patient.id", "a UUID in lower case"),
    (patient(str(uuid4()).upper()), "Patient.id", "小文字の UUID"),
    (given("not-a-uuid"), "Observation.subject", "a UUID in lower case"),
    (given(str(uuid4())), "Observation.subject", "is not known here"),
    (given(str(KAI)), "Observation.subject", "is not known here"),
    (patient(str(uuid4()), link=[LINK | {"other": {"reference": f"Patient/{KAI}"}}]), "Patient.link.other",
     "登録されていません"),
    (pressure(id="a", subject=None), "Observation.subject", "must name the Patient"),
    (given(focus=[{"reference": f"Patient/{HANA}"}, {"reference": f"Patient/{KAI}"}]), "Observation", "more than two"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "place", "said"), CAUSES)
def test_each_cause_has_its_own_words(
    family: Neighbourhood, bring: Bringing, line: dict[str, Any], place: str, said: str
) -> None:
    good = given()
    _, err, fine = bring(bring.file(line, good))
    assert not fine
    [told] = [text for text in err.splitlines() if ".ndjson:1: " in text]
    assert f":1: {place}: " in told
    assert said in told
    assert str(KAI) not in err
    assert family.clinic.get(f"Observation/{good['id']}").status == 200


def test_nobody_stores_what_a_fhir_user_names(family: Neighbourhood, bring: Bringing) -> None:
    link = {"resourceType": "RelatedPerson", "id": "guardianship-1", "patient": {"reference": f"Patient/{HANA}"}}
    _, err, fine = bring(bring.file(link))
    assert not fine
    assert "ndjson:1: 扱わないものです" in err


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("processes", [1, 2])
def test_what_the_commit_would_refuse_is_one_line(
    family: Neighbourhood, bring: Bringing, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    bad, good = str(uuid4()), [str(uuid4()) for _ in range(5)]
    plain = Incoming._enroll

    def enroll(self: Incoming, drafts: Sequence[Draft]) -> None:
        plain(self, [draft for draft in drafts if draft.facts.id != bad])

    monkeypatch.setattr(Incoming, "_enroll", enroll)
    lines = [patient(id) for id in (*good[:2], bad, *good[2:])]
    _, err, fine = bring(bring.file(*lines, *(given(id) for id in good)), processes=processes)
    assert not fine
    assert ".ndjson:3: Patient: " in err
    assert "does not fit what else is stored" in err
    assert bad not in err
    work = Ingest.objects.get()
    assert (work.created, work.refused) == (10, 1)
    assert work.finished_at
    assert family.clinic.get(f"Patient/{good[-1]}").status == 200
    assert family.clinic.get(f"Patient/{bad}").status == 404


def batches(path: Path, **changes: int) -> list[ndjson.Batch]:
    told = {"offset": 0, "line": 0, "longest": 1000, "most": 500, "most_bytes": 8 << 20} | changes
    return list(ndjson.batches(path, **told))


def test_millions_of_empty_lines_cost_little(family: Neighbourhood, bring: Bringing) -> None:
    one, nothing = given(), 20_000_000
    path = bring.folder / "nothing.ndjson.gz"
    path.write_bytes(gzip.compress(b"\n" * nothing + encoded(one) + b"\n{", compresslevel=1))
    began = time.process_time()
    found = batches(path)
    assert time.process_time() - began < 3  # one by one it takes more than ten seconds
    assert len(found) > 2, "how far it is, is told on the way"
    assert [b.fraction for b in found] == sorted(b.fraction for b in found)
    assert [(line.number, line.text) for b in found for line in b.lines] == [
        (nothing + 1, encoded(one)), (nothing + 2, b"{"),
    ]  # fmt: skip
    _, err, _ = bring(path)
    assert f".gz:{nothing + 2}: " in err
    assert family.clinic.get(f"Observation/{one['id']}").status == 200


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("run", [0, 1, 2, 8190, 8191, 8192, 8193, 20_000])
def test_lines_keep_their_numbers_and_places(tmp_path: Path, run: int, end: bytes) -> None:
    text = end * run + b"a" + end + end * run + b"\rb" + end * run + end + b"c"
    for path, content in ((tmp_path / "a", text), (tmp_path / "a.gz", gzip.compress(text))):
        path.write_bytes(content)
        whole = [line for b in batches(path) for line in b.lines]
        assert [(line.number, line.text) for line in whole] == [
            (run + 1, b"a"), (2 * run + 2, b"\rb"), (3 * run + 3, b"c"),
        ]  # fmt: skip
        for batch in batches(path, most_bytes=100):  # from every place at which a run may have stopped
            rest = [line for b in batches(path, offset=batch.end, line=batch.last) for line in b.lines]
            assert rest == [line for line in whole if line.end > batch.end]
