"""Cards verified here: a CA of the tests' own, its certificates and lists, and everything that must not be believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.utils import timezone

from consent.models import AuditEntry, Notice
from consent.refusal import Refusal
from phr.smart import jpki
from phr.smart.jpki import Kind, NotVerified, Reason, Verified
from phr.smart.login_models import CardCertificate
from tests.smart.conftest import Family

NOW = timezone.now().replace(microsecond=0)
DAY = timedelta(days=1)


@cache
def key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(*, repudiation: bool = False, signs: bool = True, ca: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs, content_commitment=repudiation, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False,
    )  # fmt: skip


@cache
def authority(name: str = "Test JPKI CA", signer: str = "ca", ca: bool = True) -> x509.Certificate:
    return (
        x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(name))
        .public_key(key(signer).public_key()).serial_number(1)
        .not_valid_before(NOW - 100 * DAY).not_valid_after(NOW + 100 * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage(signs=not ca, ca=ca), critical=True)
        .sign(key(signer), hashes.SHA256())
    )  # fmt: skip


def certificate(
    *, serial: int = 4711, uses: x509.KeyUsage | None = None, owner: Any = None, signer: str = "ca",
    issuer: str = "Test JPKI CA", since: datetime = NOW - DAY, until: datetime = NOW + DAY, ca: bool = False,
    algorithm: hashes.HashAlgorithm | None = None,
) -> bytes:  # fmt: skip
    builder = (
        x509.CertificateBuilder().subject_name(named("card")).issuer_name(named(issuer))
        .public_key(owner or key("card").public_key()).serial_number(serial)
        .not_valid_before(since).not_valid_after(until)
    )  # fmt: skip
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if uses is not False:
        builder = builder.add_extension(uses or usage(), critical=True)
    return builder.sign(key(signer), algorithm or hashes.SHA256()).public_bytes(Encoding.DER)


def revocations(
    *entries: tuple[int, x509.ReasonFlags | None], signer: str = "ca", issuer: str = "Test JPKI CA",
    since: datetime = NOW - timedelta(hours=1), until: datetime = NOW + timedelta(hours=23), partial: bool = False,
) -> bytes:  # fmt: skip
    builder = x509.CertificateRevocationListBuilder().issuer_name(named(issuer)).last_update(since).next_update(until)
    for serial, reason in entries:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
        if reason:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    if partial:
        builder = builder.add_extension(x509.DeltaCRLIndicator(3), critical=True)
    return builder.sign(key(signer), hashes.SHA256()).public_bytes(Encoding.PEM)


@dataclass
class Office:
    """Where the operator keeps the files."""

    ca: Path
    crl: Path


@pytest.fixture
def office(settings: Any, tmp_path: Path) -> Office:
    made = Office(tmp_path / "ca.pem", tmp_path / "crl.pem")
    made.ca.write_bytes(authority().public_bytes(Encoding.PEM))
    made.crl.write_bytes(revocations())
    settings.PHR_JPKI_BACKEND, settings.PHR_JPKI_CA, settings.PHR_JPKI_CRL = "own", str(made.ca), str(made.crl)
    return made


def signed(challenge: bytes, by: str = "card") -> bytes:
    return key(by).sign(challenge, padding.PKCS1v15(), hashes.SHA256())


def prove(certificate: bytes, *, kind: Kind = Kind.AUTHENTICATION, by: str = "card", now: datetime = NOW) -> Verified:
    return jpki.backend().verify(
        challenge=b"c" * 32, signature=signed(b"c" * 32, by), certificate=certificate, kind=kind, now=now
    )


def test_a_card_is_verified(office: Office) -> None:
    found = prove(certificate())
    assert (found.issuer, found.serial, found.kind) == ("CN=Test JPKI CA", 4711, Kind.AUTHENTICATION)
    assert found.not_after == NOW + DAY
    assert prove(certificate(uses=usage(repudiation=True)), kind=Kind.SIGNATURE).kind is Kind.SIGNATURE


WRONG: dict[str, tuple[Callable[[], bytes], Reason]] = {
    "no certificate": (lambda: b"", Reason.MALFORMED),
    "cut off": (lambda: certificate()[:-1], Reason.MALFORMED),
    "the certificate for signatures": (lambda: certificate(uses=usage(repudiation=True)), Reason.KIND),
    "a key that may not sign": (lambda: certificate(uses=usage(signs=False)), Reason.KIND),
    "no key usage": (lambda: certificate(uses=False), Reason.KIND),  # type: ignore[arg-type]
    "a CA as a card": (lambda: certificate(ca=True), Reason.KIND),
    "a key that signs certificates": (lambda: certificate(uses=usage(ca=True)), Reason.KIND),
    "a short key": (lambda: certificate(owner=key("short", 1024).public_key()), Reason.KIND),
    "an elliptic key": (lambda: certificate(owner=ec.generate_private_key(ec.SECP256R1()).public_key()), Reason.KIND),
    "another CA": (lambda: certificate(signer="other", issuer="Other CA"), Reason.CHAIN),
    "another CA of the same name": (lambda: certificate(signer="other"), Reason.CHAIN),
    "issued by itself": (lambda: certificate(signer="card", issuer="card"), Reason.CHAIN),
    "not yet": (lambda: certificate(since=NOW + DAY, until=NOW + 2 * DAY), Reason.NOT_YET),
    "expired": (lambda: certificate(since=NOW - 2 * DAY, until=NOW - DAY), Reason.EXPIRED),
    "SHA-224": (lambda: certificate(algorithm=hashes.SHA224()), Reason.CHAIN),
}


@pytest.mark.parametrize("what", WRONG)
def test_certificates_that_are_not_believed(office: Office, what: str) -> None:
    make, reason = WRONG[what]
    with pytest.raises(NotVerified) as refused:
        prove(make())
    assert refused.value.reason is reason


def test_a_signature_of_another_key_or_text(office: Office) -> None:
    with pytest.raises(NotVerified) as refused:
        prove(certificate(), by="thief")
    assert refused.value.reason is Reason.SIGNATURE
    for signature in (b"", signed(b"d" * 32), signed(b"c" * 32)[:-1]):
        with pytest.raises(NotVerified) as refused:
            jpki.backend().verify(
                challenge=b"c" * 32, signature=signature, certificate=certificate(), kind=Kind.AUTHENTICATION, now=NOW
            )
        assert refused.value.reason is Reason.SIGNATURE


@pytest.mark.parametrize(
    ("flag", "reason"),
    [(None, Reason.REVOKED), (x509.ReasonFlags.key_compromise, Reason.REVOKED),
     (x509.ReasonFlags.affiliation_changed, Reason.AFFILIATION_CHANGED),
     (x509.ReasonFlags.superseded, Reason.REVOKED)],
)  # fmt: skip
def test_a_revoked_card(office: Office, flag: x509.ReasonFlags | None, reason: Reason) -> None:
    prove(certificate())
    office.crl.write_bytes(revocations((4711, flag)))
    with pytest.raises(NotVerified) as refused:
        prove(certificate())
    assert refused.value.reason is reason
    prove(certificate(serial=4712))


LISTS: dict[str, Callable[[], bytes]] = {
    "out of date": lambda: revocations(since=NOW - 2 * DAY, until=NOW - DAY),
    "of tomorrow": lambda: revocations(since=NOW + DAY, until=NOW + 2 * DAY),
    "another issuer's": lambda: revocations(issuer="Other CA"),
    "forged": lambda: revocations(signer="other"),
    "of changes only": lambda: revocations(partial=True),
    "empty": lambda: b"",
}


@pytest.mark.parametrize("what", LISTS)
def test_without_a_list_in_force_nobody_is_believed(office: Office, what: str) -> None:
    office.crl.write_bytes(LISTS[what]())
    with pytest.raises(NotVerified) as refused:
        prove(certificate())
    assert refused.value.reason is Reason.STATUS_UNKNOWN


def test_the_newest_list_counts(office: Office) -> None:
    old = revocations(since=NOW - timedelta(hours=5), until=NOW + timedelta(hours=5))
    office.crl.write_bytes(revocations((4711, None)) + old)
    with pytest.raises(NotVerified):
        prove(certificate())


def test_a_configured_file_that_is_no_ca(office: Office) -> None:
    office.ca.write_bytes(authority(ca=False).public_bytes(Encoding.PEM))
    with pytest.raises(NotVerified) as refused:
        prove(certificate())
    assert refused.value.reason is Reason.CHAIN


def test_it_is_off_by_default(db: None, settings: Any) -> None:
    assert settings.PHR_JPKI_BACKEND == ""
    with pytest.raises(NotVerified) as refused:
        jpki.backend()
    assert refused.value.reason is Reason.OFF


class Delegate:
    """An operator's back end, plugged in."""

    def verify(self, *, challenge: bytes, kind: Kind, now: datetime, **_rest: bytes) -> Verified:
        assert len(challenge) == 32
        return Verified("operator", 1, kind, now + DAY)


def test_another_back_end_may_be_plugged_in(db: None, settings: Any) -> None:
    settings.PHR_JPKI_BACKEND = f"{__name__}.Delegate"
    _, ticket = jpki.ask(now=NOW)
    found = jpki.verified(ticket=ticket, signature=b"", certificate=b"", kind=Kind.AUTHENTICATION, now=NOW)
    assert found.issuer == "operator"


def test_a_challenge_is_ours_fresh_and_answered_once(db: None, office: Office) -> None:
    challenge, ticket = jpki.ask(now=NOW)

    def answer(ticket: str, now: datetime) -> Verified:
        return jpki.verified(
            ticket=ticket, signature=signed(challenge), certificate=certificate(), kind=Kind.AUTHENTICATION, now=now
        )

    for wrong, at in ((ticket + "x", NOW), ("", NOW), (ticket, NOW + timedelta(minutes=6)), (ticket, NOW - DAY)):
        with pytest.raises(NotVerified) as refused:
            answer(wrong, at)
        assert refused.value.reason is Reason.CHALLENGE
    assert answer(ticket, NOW).serial == 4711
    with pytest.raises(NotVerified):
        answer(ticket, NOW)


def found(serial: int) -> Verified:
    return Verified("CN=Test JPKI CA", serial, Kind.AUTHENTICATION, NOW + 100 * DAY)


def test_renewed_cards_keep_their_history(family: Family) -> None:
    first = jpki.link(found(1), to=family.yuki, by=family.yuki, now=NOW)
    assert b"4711" not in bytes(first.serial) and jpki.person_of(found(1)) == family.yuki
    assert jpki.link(found(1), to=family.yuki, by=family.yuki, now=NOW).pk == first.pk
    jpki.link(found(2), to=family.yuki, by=family.sato, now=NOW)  # at the counter
    assert jpki.person_of(found(1)) is None and jpki.person_of(found(2)) == family.yuki
    first.refresh_from_db()
    assert (first.because, CardCertificate.objects.count()) == ("renewed", 2)
    for serial in (1, 2):  # a serial number never moves to somebody else
        with pytest.raises(Refusal):
            jpki.link(found(serial), to=family.ichiro, by=family.ichiro, now=NOW)
    assert AuditEntry.objects.filter(event="credential:added").count() == 2


def test_a_changed_name_ends_the_link_and_is_said(family: Family) -> None:
    row = jpki.link(found(1), to=family.yuki, by=family.yuki, now=NOW)
    for _ in range(2):
        jpki.ended(row, reason=Reason.AFFILIATION_CHANGED, now=NOW)
    assert jpki.person_of(found(1)) is None
    told = Notice.objects.get(person=family.yuki, kind="credential:removed")
    assert told.detail["because"] == "affiliation-changed"


def test_a_stopped_account_stays_shut(family: Family) -> None:
    jpki.link(found(1), to=family.yuki, by=family.yuki, now=NOW)
    family.yuki.is_active = False
    family.yuki.save()
    assert jpki.person_of(found(1)) is None
