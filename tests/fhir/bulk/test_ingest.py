"""`manage.py ingest`: NDJSON files of an organisation into the record, whole lines or none, repeatable."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from phr.populate.cast import OBSTETRIC
from phr.records.jobs import Ingest
from tests.family import KAI, YUKI, Neighbourhood, audit_lines, decoded, encoded, organization, pressure, rows
from tests.fhir.bulk.exports import exported

Resource = dict[str, Any]


def patient(id: str, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id, "name": [{"text": "見本 例"}], "birthDate": "1990-01-01"} | more


def given(of: str | None = None, **more: Any) -> Resource:
    return pressure(**{"id": str(uuid4()), "subject": {"reference": f"Patient/{of or YUKI}"}} | more)


class Bringing:
    """The command on a file in a folder."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder, self.code = folder, code

    def file(self, *lines: Resource | bytes, name: str = "a.ndjson") -> Path:
        path = self.folder / name
        path.write_bytes(b"".join((x if isinstance(x, bytes) else encoded(x)) + b"\n" for x in lines))
        return path

    def __call__(self, *files: Path, **options: Any) -> tuple[str, str, bool]:
        """What it said to both streams, and whether every line is stored."""
        out, err, fine = io.StringIO(), io.StringIO(), True
        try:
            call_command("ingest", *map(str, files), organization=self.code, stdout=out, stderr=err,
                         **{"processes": 1} | options)  # fmt: skip
        except CommandError as error:
            err.write(str(error))
            fine = False
        return out.getvalue(), err.getvalue(), fine


@pytest.fixture
def bring(tmp_path: Path) -> Bringing:
    return Bringing(tmp_path, OBSTETRIC.code)


def test_lines_go_in_under_their_own_ids(family: Neighbourhood, bring: Bringing) -> None:
    id = str(uuid4())
    made = given(id)
    out, err, fine = bring(bring.file(made, organization() | {"id": "org-1"}, patient(id)))  # the Patient comes last
    assert fine, err
    assert "created 3" in out
    stored = family.clinic.get(f"Observation/{made['id']}")
    assert stored.status == 200
    assert {k: v for k, v in stored.json.items() if k != "meta"} == made
    assert family.clinic.get(f"Patient/{id}").status == 200
    assert family.clinic.get("Organization/org-1").status == 200
    assert id in {str(subject) for subject, *_ in audit_lines("record:created")}


def test_again_is_nothing_new(family: Neighbourhood, bring: Bringing) -> None:
    file = bring.file(given(), given())
    assert "created 2" in bring(file)[0]
    before = rows()
    assert "Brought in already" in bring(file)[0], "a file known by its digest is not even read"
    assert "created 0、変更なし unchanged 2" in bring(file, again=True)[0]
    other = bring.file(*file.read_bytes().splitlines(), b"", name="b.ndjson")
    out, err, fine = bring(other)
    assert fine, err
    assert "created 0、変更なし unchanged 2" in out
    assert rows() == before


def test_what_differs_is_refused_by_line(family: Neighbourhood, bring: Bringing) -> None:
    first, second = given(), given()
    bring(bring.file(first, second))
    family.clinic.delete(f"Observation/{second['id']}")
    before = rows()
    out, err, fine = bring(bring.file(first | {"status": "amended"}, second, first, name="b.ndjson"))
    assert not fine
    assert "b.ndjson:1: Observation: " in err
    assert "Another content is stored" in err
    assert "b.ndjson:2: Observation: " in err
    assert "was deleted" in err
    assert "refused" in out or "refused" in err
    assert rows() == before


def test_an_id_out_of_sight_cannot_be_used(family: Neighbourhood, bring: Bringing) -> None:
    hidden = family.stranger_of(KAI).made(pressure(KAI))
    _, err, fine = bring(bring.file(given(id=hidden["id"]), given(str(KAI)), given()))
    assert not fine
    assert ":1: Observation: " in err
    assert "This id cannot be used" in err
    assert ":2: Observation.subject: " in err
    assert family.stranger_of(KAI).get(f"Observation/{hidden['id']}").json == hidden
    assert Ingest.objects.get().created == 1


BAD: list[tuple[bytes, str]] = [
    (b"{", "JSON"),
    (b"not json", "JSON"),
    (b"[]", "JSON"),
    (b"null", "JSON"),
    (b"\xff\xfe{\x00}\x00", "JSON"),
    (b'{"resourceType":"Observation","resourceType":"Observation","id":"a"}', "JSON"),
    (b'{"resourceType":"Observation"}', "resourceType"),
    (b'{"resourceType":"Monster","id":"a"}', "resourceType"),
    (b'{"resourceType":["Observation"],"id":"a"}', "resourceType"),
    (b'{"resourceType":"Observation","id":"../a"}', "resourceType"),
    (b'{"resourceType":"Observation","id":7}', "resourceType"),
    (b'{"resourceType":"Observation","id":"a","meta":7}', "構造"),
    (b'{"resourceType":"Patient","id":"not-a-uuid"}', "Patient"),
    (b'{"resourceType":"AuditEvent","id":"a"}', "扱わない"),
    (b'{"resourceType":"Observation","id":"a"}', "Observation.status"),
    (encoded(given(status="zzz")), "Observation.status"),
    (encoded(given(subject=None)), "Observation.subject"),
    (b'{"resourceType":"Patient","id":"' + b"[" * 100_000, "JSON"),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_a_bad_line_is_named_and_the_others_go_in(
    family: Neighbourhood, bring: Bringing, line: bytes, said: str
) -> None:
    good = [given(), given()]
    _, err, fine = bring(bring.file(good[0], line, good[1]))
    assert not fine
    named = [text for text in err.splitlines() if ":2: " in text]
    assert named
    assert said in named[0]
    assert "zzz" not in err
    assert {family.clinic.get(f"Observation/{g['id']}").status for g in good} == {200}
    assert (Ingest.objects.get().created, Ingest.objects.get().refused) == (2, 1)


def test_many_bad_lines_are_all_named(family: Neighbourhood, bring: Bringing, tmp_path: Path) -> None:
    lines: list[Resource] = [given(status="zzz") if n % 3 else given() for n in range(60)]
    problems = tmp_path / "problems.txt"
    *_, fine = bring(bring.file(*lines), problems=str(problems))
    assert not fine
    bad = {n + 1 for n in range(60) if n % 3}
    assert {int(text.split(":")[1]) for text in problems.read_text().splitlines()} == bad
    assert Ingest.objects.get().created == 20


def test_a_mark_crlf_empty_lines_and_no_last_newline(family: Neighbourhood, bring: Bringing) -> None:
    lines = [encoded(given()) for _ in range(3)]
    path = bring.folder / "crlf.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(lines))
    out, err, fine = bring(path)
    assert fine, err
    assert "created 3" in out


def test_what_stands_twice_in_a_file(family: Neighbourhood, bring: Bringing) -> None:
    one = given()
    _, err, fine = bring(bring.file(one, one, one | {"status": "amended"}))
    assert not fine
    assert [text.split(":")[1] for text in err.splitlines() if ".ndjson:" in text and ": Observation" in text] == ["3"]
    work = Ingest.objects.get()
    assert (work.created, work.unchanged, work.refused) == (1, 1, 1)


def test_a_line_longer_than_any_resource(family: Neighbourhood, bring: Bringing, settings: Any) -> None:
    settings.PHR_MAX_BODY = 10_000
    good = given()
    _, err, fine = bring(bring.file(b'{"resourceType":"Observation","id":"' + b"x" * 5_000_000, good))
    assert not fine
    assert ":1: " in err
    assert family.clinic.get(f"Observation/{good['id']}").status == 200


def test_gzip_and_a_gzip_that_breaks_off(family: Neighbourhood, bring: Bringing) -> None:
    whole = bring.folder / "a.ndjson.gz"
    whole.write_bytes(gzip.compress(b"".join(encoded(given()) + b"\n" for _ in range(1500))))
    assert "created 1,500" in bring(whole)[0]
    broken = bring.folder / "b.ndjson.gz"
    broken.write_bytes(gzip.compress(b"".join(encoded(given()) + b"\n" for _ in range(5000)))[:-2000])
    _, err, fine = bring(broken)
    assert not fine
    assert "b.ndjson.gz:" in err


@pytest.mark.parametrize("code", ["0000000001", "; DROP TABLE"])
def test_an_organisation_nobody_knows(family: Neighbourhood, bring: Bringing, code: str) -> None:
    bring.code = code
    assert "There is no such organisation" in bring(bring.file(given()))[1]


def test_files_that_are_not_there(family: Neighbourhood, bring: Bringing, tmp_path: Path) -> None:
    assert "Cannot be read" in bring(tmp_path / "nothing.ndjson")[1]
    assert "Cannot be read" in bring(tmp_path)[1]
    assert bring(bring.file())[2]


def test_an_export_comes_in_again(family: Neighbourhood, bring: Bringing) -> None:
    """What an organisation takes out, it can bring in again: the same resources, decimals and all."""
    family.clinic.made(pressure(valueQuantity={"value": decoded(b"118.00"), "unit": "mmHg"}))
    found = exported(family.clinic)
    mine = [line for lines in found.lines["output"].values() for line in lines if b'"Observation"' in line]
    out, err, fine = bring(bring.file(*mine))
    assert fine, err
    assert f"unchanged {len(mine)}" in out


def bare(resource: Resource) -> Resource:
    """Without version and time, which each store gives anew."""
    meta = {k: v for k, v in resource["meta"].items() if k not in ("versionId", "lastUpdated")}
    return {**resource, "meta": meta}


def test_what_was_exported_comes_into_an_empty_record_as_it_was(family: Neighbourhood, bring: Bringing) -> None:
    """Export, erase, ingest: equal resources, decimals, labels and all."""
    id = str(uuid4())
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
    family.clinic.made(organization())
    bring(bring.file(patient(id, name=[{"text": "見本 𠮷子"}])))
    for value in ("118.00", "0.1", "1E+2", "12345678901234567890.5"):
        quantity = {"value": decoded(value.encode()), "unit": "mmHg"}
        family.clinic.made(given(id, valueQuantity=quantity, meta={"security": [label]}))
    types = "Patient,Observation,Organization"
    before = exported(family.clinic, f"$export?_type={types}")
    own = {
        kind: [line for line in lines if kind != "Patient" or id.encode() in line]
        for kind, lines in before.lines["output"].items()
    }
    own["Observation"] = [line for line in own["Observation"] if id.encode() in line]
    files = [bring.file(*lines, name=f"{kind}.ndjson") for kind, lines in own.items()]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("TRUNCATE phr_resource, phr_version, phr_range, phr_text, phr_change, consent_datakey CASCADE")
        cursor.execute("DELETE FROM phr_ingest")
    _, err, fine = bring(*reversed(files))
    assert fine, err
    after = exported(family.clinic, f"$export?_type={types}")
    for kind, lines in own.items():
        wanted = sorted((bare(decoded(line)) for line in lines), key=lambda r: r["id"])
        got = sorted((bare(decoded(line)) for line in after.lines["output"][kind]), key=lambda r: r["id"])
        assert [encoded(r) for r in got] == [encoded(r) for r in wanted]
