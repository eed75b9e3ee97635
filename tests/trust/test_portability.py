"""Portability (IT-15) and moving to another trust (IT-23): out, into an empty server, and the same again."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from consent.models import AuditEntry, Grant, Organization, Person, Subject, Transfer
from consent.scope import Mark
from phr.populate.cast import HANA, YUKI
from phr.records.models import Resource
from phr.smart.models import Launch
from phr.trust import receiving, transferring
from tests.conftest import APPEND_ONLY
from tests.family import App, Neighbourhood, encoded, pressure, secret, weight
from tests.trust.packages import asked, content_of, opened, package


def empty() -> None:
    """What an empty server holds: tables, and nothing in them."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        names = [n for n in connection.introspection.table_names(cursor) if n.startswith(("consent_", "phr_"))]
        kept = {"phr_package", "phr_canonical"}
        for table in APPEND_ONLY:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(f"TRUNCATE {', '.join(n for n in names if n not in kept)} CASCADE")
        for table in APPEND_ONLY:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    assert not Subject.objects.exists()


def filled(family: Neighbourhood) -> None:
    mother = family.mother
    own = mother.made(pressure(valueQuantity={"value": 118.50, "unit": "mmHg"}))
    mother.put({**own, "status": "amended"})
    mother.made(secret())
    family.clinic.made(weight())


def post(app: App, path: str, content: Any = None) -> Any:
    return app.ask("POST", f"/api/trust/{path}", encoded(content or {}), type="application/json")


@pytest.mark.IT("15")
def test_out_and_into_an_empty_server_and_the_same_again(family: Neighbourhood, tmp_path: Path) -> None:
    filled(family)
    file = tmp_path / "record.zip"
    file.write_bytes(content_of(asked(family.mother, f"records/{YUKI}/portability")))
    before = opened(file.read_bytes())
    assert len(before.rows("fhir.ndjson")) >= 4
    assert len(before.rows("consents.ndjson")) == 1
    levels = _levels()
    empty()
    call_command("import_record", str(file), person="yuki", new_person="見本 雪", register_organizations=True)
    again = tmp_path / "again.zip"
    call_command("export_record", str(YUKI), person="yuki", to=again)
    after = opened(again.read_bytes())
    assert after.manifest["content"] == before.manifest["content"]
    for name in ("authors.ndjson", "organizations.ndjson"):
        assert sorted(after.files[name].splitlines()) == sorted(before.files[name].splitlines())
    assert _levels() == levels, "as protected as it was"
    assert Organization.objects.filter(state="active").count() == len(before.rows("organizations.ndjson"))
    assert AuditEntry.objects.filter(event="record:moved-in", subject=YUKI).count() == 1

    call_command("import_record", str(file), person="yuki")  # once more changes nothing
    call_command("export_record", str(YUKI), person="yuki", to=again)
    assert opened(again.read_bytes()).manifest["content"] == before.manifest["content"]
    assert Grant.objects.filter(subject=YUKI, state="active").count() == 1


def _levels() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT type, fhir_id, categories, level, marks, author IS NULL FROM phr_resource"
            " WHERE subject_id = %s AND type <> 'Consent' AND NOT deleted ORDER BY 1, 2",
            [YUKI],
        )
        return list(cursor.fetchall())


@pytest.mark.IT("15")
@pytest.mark.parametrize("name", ["fhir.ndjson", "consents.ndjson", "authors.ndjson"])
def test_a_changed_package_is_refused(family: Neighbourhood, tmp_path: Path, name: str) -> None:
    filled(family)
    before = package(family.mother, f"records/{YUKI}/portability")
    file = tmp_path / "record.zip"
    with zipfile.ZipFile(file, "w") as zip:
        for each, content in before.files.items():
            zip.writestr(each, content.replace(b"a", b"b", 1) if each == name else content)
    empty()
    with pytest.raises(CommandError, match="not what the manifest says"):
        call_command("import_record", str(file), person="yuki", new_person="x", register_organizations=True)
    assert not Subject.objects.exists()


@pytest.mark.IT("15")
@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip", "manifest"])
def test_what_is_no_package_is_refused(db: None, tmp_path: Path, content: bytes | str) -> None:
    file = tmp_path / "x.zip"
    if isinstance(content, str):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as zip:
            zip.writestr("manifest.json", json.dumps({"format": "tsumugi-record/1", "files": 7}))
        content = made.getvalue()
    file.write_bytes(content)
    with pytest.raises(CommandError):
        call_command("import_record", str(file), person="x", new_person="x")


@pytest.mark.IT("15")
def test_a_record_that_is_there_is_not_taken_over(family: Neighbourhood, tmp_path: Path) -> None:
    file = tmp_path / "record.zip"
    file.write_bytes(content_of(asked(family.mother, f"records/{YUKI}/portability")))
    with pytest.raises(CommandError, match="not entitled"):
        call_command("import_record", str(file), person="thief", new_person="x")
    assert Person.objects.get(username="thief").own_subject_id is None


@pytest.mark.IT("15")
def test_it_wants_a_fresh_proof(family: Neighbourhood) -> None:
    Launch.objects.update(authenticated_at=timezone.now() - timedelta(minutes=6))
    assert asked(family.mother, f"records/{YUKI}/portability").status_code == 401


@pytest.mark.IT("23")
def test_a_record_moves_and_the_source_stops(family: Neighbourhood, tmp_path: Path, capsys: Any) -> None:
    filled(family)
    other = Ed25519PrivateKey.generate()
    told = post(family.mother, f"records/{YUKI}/transfers/ask", {"to": "https://other.example"})
    assert (told.status, told.json["state"]) == (202, "asked"), told
    file = tmp_path / "moving.zip"
    call_command("transfer_record", pack=told.json["id"], to=file)
    key = capsys.readouterr().out.rsplit(" ", 1)[1].strip()
    transferring.require_signed(file, public_key=key)
    # The source stops: for her, for the clinic, for every token.
    assert family.mother.get(f"Patient/{YUKI}").status in (401, 403, 404)
    assert family.clinic.get(f"Patient/{YUKI}").status == 404
    assert family.clinic.search("Observation", patient=str(YUKI)).ids == []
    assert family.clinic.create(weight()).status == 422
    assert Subject.objects.get(pk=YUKI).state == "locked"

    manifest = receiving.opened(file)
    receipt = tmp_path / "receipt.json"
    signed = transferring.receipt(manifest, by="https://other.example", key=other, now=timezone.now())
    public = other.public_key().public_bytes_raw().hex()
    receipt.write_text(json.dumps({**signed, "digest": "0" * 64}))
    with pytest.raises(CommandError, match="signature"):
        call_command("transfer_record", receipt=receipt, key=public)
    receipt.write_text(json.dumps(transferring.signed({"transfer": manifest["transfer"], "digest": "0" * 64}, other)))
    with pytest.raises(CommandError, match="another package"):
        call_command("transfer_record", receipt=receipt, key=public)
    receipt.write_text(json.dumps(signed))
    call_command("transfer_record", receipt=receipt, key=public)
    proved = Transfer.objects.get(pk=told.json["id"])
    assert (proved.state, proved.receipt["digest"]) == ("confirmed", receiving.digest_of(proved.manifest))

    empty()  # the other trust
    call_command(
        "import_record", str(file), person="yuki", new_person="見本 雪", register_organizations=True, from_key=key,
        receipt=receipt,
    )  # fmt: skip
    assert Grant.objects.filter(subject=YUKI, state="active").count() == 1, "the live condition moved along"
    assert json.loads(receipt.read_text())["digest"] == receiving.digest_of(manifest)
    with pytest.raises(CommandError, match="signature"):
        call_command("import_record", str(file), person="yuki", from_key=public)


@pytest.mark.IT("23")
@pytest.mark.G("14")
def test_a_child_moves_on_the_word_of_both(family: Neighbourhood, tmp_path: Path) -> None:
    mother, to = family.app("mother", patient="hana"), {"to": "https://other.example"}
    assert post(mother, f"records/{HANA}/transfers/ask", to).json["state"] == "joint"
    assert not Transfer.objects.exists()
    elsewhere = post(family.father, f"records/{HANA}/transfers/ask", {"to": "https://elsewhere.example"})
    assert elsewhere.json["state"] == "joint", "a yes to another place is no yes to this one"
    moved = post(family.father, f"records/{HANA}/transfers/ask", to)
    assert moved.json["state"] == "asked"
    assert post(mother, f"records/{HANA}/transfers/cancel").json["state"] == "cancelled"
    with pytest.raises(CommandError, match="no such instruction"):
        call_command("transfer_record", pack=moved.json["id"], to=tmp_path / "x.zip")
    assert Subject.objects.get(pk=HANA).state == "active"


@pytest.mark.IT("23")
def test_nothing_stays_behind_unseen(family: Neighbourhood, tmp_path: Path) -> None:
    """What is kept from the guardians cannot be packed on their word: the record is not locked over it."""
    mother, to = family.app("mother", patient="hana"), {"to": "https://other.example"}
    hidden = mother.made(weight(HANA))["id"]
    post(mother, f"records/{HANA}/transfers/ask", to)
    asked_for = post(family.father, f"records/{HANA}/transfers/ask", to).json["id"]
    Resource.objects.filter(fhir_id=hidden).update(marks=int(Mark.CHILD_PROTECTION))
    file = tmp_path / "x.zip"
    with pytest.raises(CommandError, match="stay behind"):
        call_command("transfer_record", pack=asked_for, to=file)
    assert (Subject.objects.get(pk=HANA).state, Transfer.objects.get(pk=asked_for).state) == ("active", "asked")
    assert not any(part.stat().st_size for part in tmp_path.iterdir())
    Resource.objects.filter(fhir_id=hidden).update(marks=0)
    call_command("transfer_record", pack=asked_for, to=file)
    assert Subject.objects.get(pk=HANA).state == "locked"


@pytest.mark.IT("23")
@pytest.mark.parametrize("to", ["http://plain.example", "https://", "x", "https://a@b.example", "ftp://x.example"])
def test_where_to_is_an_https_address(family: Neighbourhood, to: str) -> None:
    assert post(family.mother, f"records/{YUKI}/transfers/ask", {"to": to}).status == 422
