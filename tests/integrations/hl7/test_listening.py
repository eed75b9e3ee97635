"""Messages over MLLP into the record, sent by a client written by others; what is answered, and when."""

from __future__ import annotations

import io
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import hl7
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from hl7.client import MLLPClient

from consent.decide import Caller, Capacity
from consent.scope import Door
from integrations import feeding, linking, taking
from integrations.hl7 import mllp
from integrations.models import KnownItem, WaitingItem
from integrations.ssmix2 import connector
from phr.records import systems
from phr.records.gateway import Records
from phr.records.models import Resource
from tests.consent.people import People, people
from tests.integrations.hl7.wire import asked, connect, of_clinic, serving
from tests.integrations.ssmix2.samples import CODE, message, sample
from tests.integrations.ssmix2.test_feed import NUMBER, pieces
from tests.integrations.ssmix2.test_mapping import CRP, OBR, SPM

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def family(now: datetime) -> People:
    made = people(now)
    made.clinic.code = CODE
    made.clinic.save()
    patient = {
        "resourceType": "Patient", "id": str(made.yuki_subject.pk), "birthDate": "1975-04-01", "gender": "female",
        "identifier": [{"system": systems.PATIENT_AT_INSTITUTION + CODE, "value": NUMBER}], "name": [{"text": "見本"}],
    }  # fmt: skip
    by = taking.caller_for(made.clinic, client="test")
    Records.opened_by(by, now=now).create_all([patient], keep_ids=True)
    return made


@pytest.fixture
def port(family: People, now: datetime) -> Iterator[int]:
    with serving(of_clinic(family.clinic, now)) as (found, _):
        yield found


def result(value: str = "1", *, order: str = "1", **options: Any) -> bytes:
    obr = OBR.replace("000000000000123", order)
    return message("OUL^R22", SPM, obr, f"OBX|1|NM|{CRP}||{value}||||||F", number=f"M{order}", **options)


def sent(port: int, data: bytes) -> hl7.Message:
    """By the client of the hl7 library."""
    with MLLPClient("127.0.0.1", port) as client:
        return hl7.parse(
            client.send(mllp.START + data.rstrip(b"\x1c\r") + b"\r" + mllp.END).strip(mllp.START + mllp.END)
        )


def kinds(family: People) -> dict[str, int]:
    rows = Resource.objects.filter(subject=family.yuki_subject.pk).exclude(type__in=["Patient", "Provenance"])
    return {type: rows.filter(type=type).count() for type in rows.values_list("type", flat=True)}


def test_what_is_answered_with_aa_is_in_the_record(port: int, family: People) -> None:
    for number in range(1, 6):
        answer = sent(port, result(order=str(number)))
        assert (str(answer["MSA"][0][1]), str(answer["MSA"][0][2])) == ("AA", f"M{number}")
        assert kinds(family) == {"Specimen": number, "Observation": number, "DiagnosticReport": number}
    assert str(answer["MSH"][0][9]) == "ACK^R22^ACK"
    assert str(answer["MSH"][0][5]) == "HIS999"


def test_the_same_message_again_is_answered_the_same_and_stored_once(port: int, family: People) -> None:
    first, again = sent(port, result()), sent(port, result())
    assert str(first["MSA"]) == str(again["MSA"])
    assert kinds(family) == {"Specimen": 1, "Observation": 1, "DiagnosticReport": 1}
    assert KnownItem.objects.count() == 1


def test_a_message_and_its_file_are_one_fact(port: int, family: People, now: datetime) -> None:
    path, data = sample("OML-11")
    assert str(sent(port, data)["MSA"][0][1]) == "AA"
    before = kinds(family)
    by = taking.caller_for(family.clinic, client="test")
    outcome = feeding.deposit(connector, pieces([(path, data)]), organization=family.clinic, by=by, now=now)
    assert [r.what for r in outcome.results] == ["unchanged"]
    assert kinds(family) == before


def test_somebody_unknown_is_kept_in_the_queue_and_answered_with_aa(port: int, family: People) -> None:
    answer = sent(port, result().replace(NUMBER.encode(), b"7777777"))
    assert str(answer["MSA"][0][1]) == "AA"
    assert WaitingItem.objects.count() == 1
    assert not kinds(family)


@pytest.mark.parametrize(
    ("change", "code", "condition"),
    [
        ((b"OUL^R22", b"ZZZ^Z99"), "AR", "200"),
        ((b"|P|2.5", b"|T|2.5"), "AR", "202"),
        ((b"|P|2.5", b"|P|3.1"), "AR", "203"),
        ((b"PID|", b"ZID|"), "AE", "101"),
        ((b"OBR|1", b"ZBR|1"), "AE", "100"),
    ],
)
def test_what_is_not_kept_is_answered_with_its_reason(
    port: int, family: People, change: tuple[bytes, bytes], code: str, condition: str
) -> None:
    with connect(port) as line:
        answer = asked(line, result().replace(*change)).decode("iso2022_jp")
        assert f"MSA|{code}|M1\r" in answer
        error = next(line for line in answer.split("\r") if line.startswith("ERR"))
        assert error.split("|")[3].startswith(f"{condition}^")
        assert not any(word in answer for word in ("見本", "1975", "CRP", NUMBER))
        assert not kinds(family)
        assert b"MSA|AA|" in asked(line, result()), "the connection goes on"


def test_somebody_linked_whose_birth_date_is_another_is_refused(port: int, family: People) -> None:
    assert str(sent(port, result())["MSA"][0][1]) == "AA"
    answer = sent(port, result("2").replace(b"19750401", b"19800101"))
    assert (str(answer["MSA"][0][1]), str(answer["ERR"][0][7])) == ("AE", "contradicts")
    assert kinds(family) == {"Specimen": 1, "Observation": 1, "DiagnosticReport": 1}


def test_a_database_that_is_away_is_no_aa(
    port: int, family: People, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The sender keeps the message and sends it again."""

    def away(*args: object, **options: object) -> None:
        raise OperationalError("server closed the connection: 見本花子")

    with monkeypatch.context() as patched:
        patched.setattr(feeding, "deposit", away)
        answer = sent(port, result())
        assert str(answer["MSA"][0][1]) == "AE"
        assert str(answer["ERR"][0][3]).startswith("207")
    assert str(sent(port, result())["MSA"][0][1]) == "AA"
    assert "見本" not in caplog.text
    assert NUMBER not in caplog.text


def test_what_fails_at_the_commit_is_no_aa(port: int, family: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constraint that is only checked there: AA is given after it."""
    deposit = feeding.deposit

    @transaction.atomic
    def failing(*args: Any, **options: Any) -> Any:
        outcome = deposit(*args, **options)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE late (a int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP")
            cursor.execute("INSERT INTO late VALUES (1), (1)")
        return outcome

    monkeypatch.setattr(feeding, "deposit", failing)
    assert str(sent(port, result())["MSA"][0][1]) == "AE"
    assert not kinds(family)


def test_many_senders_at_once_store_each_fact_once(port: int, family: People) -> None:
    """Twenty messages over five connections, each of them twice."""

    def send(number: int) -> list[bytes]:
        with connect(port) as line:
            return [asked(line, result(order=str(n))) for n in range(number % 5, 20, 5)]

    with ThreadPoolExecutor(10) as pool:
        answers = [answer for several in pool.map(send, range(10)) for answer in several]
    assert all(b"MSA|AA|" in answer for answer in answers)
    assert kinds(family) == {"Specimen": 20, "Observation": 20, "DiagnosticReport": 20}


def test_what_waited_arrives_when_somebody_links_the_number(port: int, family: People, now: datetime) -> None:
    unknown = result().replace(NUMBER.encode(), b"7777777")
    assert str(sent(port, unknown)["MSA"][0][1]) == "AA"
    by = Caller(
        client="desk", capacity=Capacity.STAFF, purpose="TREAT", doors=(Door("*", "cruds"),), person=family.mori.pk,
        organization=family.clinic.pk,
    )  # fmt: skip
    [case] = linking.waiting_cases(by=by, now=now)
    linking.link(case=case.id, subject=family.yuki_subject.pk, by=by, now=now)
    assert kinds(family) == {"Specimen": 1, "Observation": 1, "DiagnosticReport": 1}
    assert str(sent(port, unknown)["MSA"][0][1]) == "AA"
    assert kinds(family) == {"Specimen": 1, "Observation": 1, "DiagnosticReport": 1}


# TLS


def certificate(
    folder: Path, name: str, issuer: tuple[x509.Certificate, Any] | None = None
) -> tuple[x509.Certificate, Any]:
    """A certificate for 127.0.0.1, and its files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = timezone.now() - timedelta(days=1)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(start).not_valid_after(start + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )  # fmt: skip
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)
    return made, key


@pytest.mark.parametrize("mutual", [False, True])
def test_over_tls_with_and_without_a_certificate_of_the_sender(
    family: People, now: datetime, tmp_path: Path, mutual: bool
) -> None:
    authority = certificate(tmp_path, "ca")
    certificate(tmp_path, "server", authority)
    certificate(tmp_path, "sender", authority)
    ca = tmp_path / "ca.pem"
    tls = mllp.tls_context(tmp_path / "server.pem", tmp_path / "server.key", client_ca=ca if mutual else None)
    stranger, sender = ssl.create_default_context(cafile=ca), ssl.create_default_context(cafile=ca)
    sender.load_cert_chain(tmp_path / "sender.pem", tmp_path / "sender.key")
    with serving(of_clinic(family.clinic, now, tls=tls)) as (port, _):
        with connect(port) as plain, sender.wrap_socket(plain, server_hostname="127.0.0.1") as line:
            assert b"MSA|AA|" in asked(line, result())
        if mutual:
            with pytest.raises((ssl.SSLError, ConnectionError, ValueError)):  # noqa: SIM117
                with connect(port) as plain, stranger.wrap_socket(plain, server_hostname="127.0.0.1") as line:
                    asked(line, result(order="2"))
        with connect(port) as line:
            line.sendall(b"\x0bMSH|")
            assert not line.recv(10).startswith(b"\x0b"), "no answer outside TLS"
    assert kinds(family)["DiagnosticReport"] == 1


# The command


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--organization", "0000000000"], "There is no such hospital"),
        (["--organization", "131016"], "There is no such hospital"),
        (["--organization", CODE, "--hl7", "x"], "Unknown profile"),
        (["--organization", CODE, "--bind", "0.0.0.0"], "--plain"),
        (["--organization", CODE, "--client-ca", "ca.pem"], "--tls-cert"),
        (["--organization", CODE, "--tls-cert", "/nowhere.pem"], "cannot be used"),
    ],
)
def test_the_command_says_what_is_wrong(family: People, options: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("mllp", *options)


def test_the_command_listens_until_it_is_told_to_stop(family: People) -> None:
    said, answers = io.StringIO(), []

    def talk() -> None:
        while "listening" not in said.getvalue():
            time.sleep(0.01)
        answers.append(sent(int(said.getvalue().rsplit(":", 1)[1]), result()))
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=talk)
    sender.start()
    call_command("mllp", "--organization", CODE, "--port", "0", "--threads", "2", stdout=said)
    sender.join(10)
    assert str(answers[0]["MSA"][0][1]) == "AA"
    assert "Stopped" in said.getvalue()
    assert kinds(family)["Observation"] == 1


def stamped(data: bytes, at: str) -> bytes:
    header, rest = data.split(b"\r", 1)
    fields = header.split(b"|")
    fields[6] = at.encode()
    return b"|".join(fields) + b"\r" + rest


def test_a_message_from_the_future_freezes_nothing(port: int, family: People, now: datetime) -> None:
    def told(value: str, at: str) -> tuple[str, str]:
        answer = sent(port, stamped(result(value), at))
        return str(answer["MSA"][0][1]), str(answer) if "ERR" in str(answer) else ""

    code, why = told("1", "99991231235959")
    assert code == "AE" and "in-future" in why
    assert not Resource.objects.filter(type="Observation").exists()
    yesterday, before = (f"{now - timedelta(days=days):%Y%m%d%H%M%S}" for days in (1, 2))
    assert told("2", yesterday) == ("AA", "")
    code, why = told("3", before)
    assert code == "AA" and "|W|" in why and "older-than-known" in why, "the sender learns that nothing came of it"
    assert Resource.objects.get(type="Observation").version == 1
    assert told("4", f"{now:%Y%m%d%H%M%S}") == ("AA", "")
    assert Resource.objects.get(type="Observation").version == 2


def test_a_long_name_of_a_message_comes_back_whole(port: int, family: People) -> None:
    name = "A" * 3000
    data = result().replace(b"|M1|", f"|{name}|".encode())
    assert str(sent(port, data)["MSA"][0][2]) == name
