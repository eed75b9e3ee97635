"""Cards read without a provider between (公的個人認証, JPKI): a challenge, the card's signature, its certificate.

Who may verify such certificates is a certified platform operator, or delegates to one; so the verifier is a back end
that a deployment chooses (PHR_JPKI_BACKEND), and there is none until it does. The deeds here hold whichever it is.
Source: 公的個人認証法 (certificates for authentication and for signature); RFC 5280; design of the certificates: J-LIS.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Protocol, cast

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from consent import audit, notices, proxies
from consent.audit import Event
from consent.models import Person
from consent.proxies import Why
from consent.refusal import Because, Refusal
from phr.smart import sealed
from phr.smart.login_models import CardCertificate, UsedChallenge

LIFE = timedelta(minutes=5)
OWN = "phr.smart.jpki_own.Own"
_SIGNER = signing.Signer(salt="phr.smart.jpki")


class Kind(StrEnum):
    """Which of a card's two certificates."""

    AUTHENTICATION = "authentication"  # 利用者証明用
    SIGNATURE = "signature"  # 署名用: carries name and address; nobody under 15 has one


class Reason(StrEnum):
    """Why a card was not believed."""

    OFF = "off"
    MALFORMED = "malformed"
    KIND = "kind"  # another certificate, or a key usage that is not its kind's
    CHAIN = "chain"  # not issued by the configured CA
    NOT_YET = "not-yet-valid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    AFFILIATION_CHANGED = "affiliation-changed"  # revoked because name or address changed: a new one is due
    STATUS_UNKNOWN = "status-unknown"  # no revocation list that is in force: nobody is believed
    SIGNATURE = "wrong-signature"
    CHALLENGE = "challenge"  # not asked, asked too long ago, or answered before


class NotVerified(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Verified:
    """A certificate that was verified together with a signature of now."""

    issuer: str  # distinguished name, RFC 4514
    serial: int
    kind: Kind
    not_after: datetime

    @property
    def name(self) -> str:
        return f"{self.issuer}|{self.serial:x}"


class Backend(Protocol):
    """Verifies one signature and its certificate."""

    def verify(self, *, challenge: bytes, signature: bytes, certificate: bytes, kind: Kind, now: datetime) -> Verified:
        """`signature`: RSA PKCS #1 v1.5 with SHA-256 over the challenge; `certificate`: DER. Raises NotVerified."""
        ...


def backend() -> Backend:
    """The chosen verifier. Raises NotVerified (off) when there is none."""
    chosen: str = settings.PHR_JPKI_BACKEND
    if not chosen:
        raise NotVerified(Reason.OFF)
    return cast(Backend, import_string(OWN if chosen == "own" else chosen)())


def ask(*, now: datetime) -> tuple[bytes, str]:
    """A challenge (32 bytes) for the card to sign, and its ticket, which comes back with the answer."""
    challenge = secrets.token_bytes(32)
    return challenge, _SIGNER.sign_object({"c": challenge.hex(), "t": int(now.timestamp())})


def verified(*, ticket: str, signature: bytes, certificate: bytes, kind: Kind, now: datetime) -> Verified:
    """Whether the card answered our challenge, within five minutes and once. Raises NotVerified."""
    challenge = _challenge(ticket, now)
    found = backend().verify(challenge=challenge, signature=signature, certificate=certificate, kind=kind, now=now)
    _, fresh = UsedChallenge.objects.get_or_create(
        digest=sha256(challenge).digest(), defaults={"ends_at": now + 2 * LIFE}
    )
    if not fresh:
        raise NotVerified(Reason.CHALLENGE)
    return found


def _challenge(ticket: str, now: datetime) -> bytes:
    try:
        told = _SIGNER.unsign_object(ticket[:500])
    except signing.BadSignature as error:
        raise NotVerified(Reason.CHALLENGE) from error
    if not told["t"] <= now.timestamp() + 1 <= told["t"] + LIFE.total_seconds() + 1:
        raise NotVerified(Reason.CHALLENGE)
    return bytes.fromhex(told["c"])


def person_of(found: Verified) -> Person | None:
    """Whose card this is, if its certificate is linked and the account stands."""
    row = CardCertificate.objects.filter(serial_hash=_hash(found), ended_at=None).select_related("person").first()
    return row.person if row is not None and row.person.is_active else None


@transaction.atomic
def link(found: Verified, *, to: Person, by: Person, now: datetime) -> CardCertificate:
    """Link a verified certificate: one's own, or at the counter by an officer who saw the person. The earlier one ends.

    The history of serial numbers stays. Raises Refusal when it is, or was, linked to another account.
    """
    Person.objects.select_for_update().get(pk=to.pk)  # one at a time
    known = CardCertificate.objects.filter(serial_hash=_hash(found)).first()
    if known is not None and known.person_id == to.pk and known.ended_at is None:
        return known
    changed = CardCertificate.objects.filter(person=to, ended_at=None).update(ended_at=now, because="renewed")
    hidden, kek = sealed.seal(found.name.encode(), place=sealed.certificate_place(to.pk))
    try:
        with transaction.atomic():
            row = CardCertificate.objects.create(
                person=to, serial_hash=_hash(found), serial=hidden, kek=kek, not_after=found.not_after, linked_at=now
            )
    except IntegrityError as error:
        why = "このカードは使われたことがあります / this certificate was used before"
        raise Refusal(why, because=Because.CONFLICT) from error
    audit.record(Event.CREDENTIAL_ADDED, by=by, now=now, detail={"method": "jpki", "id": str(row.pk), "second": to.pk})
    notices.tell(notices.Kind.CREDENTIAL_ADDED, to=[to], subject=None, now=now, detail={"method": "jpki"})
    if changed:
        proxies.account_changed(person=to, why=Why.CARD_CHANGE, now=now)
    return row


@transaction.atomic
def ended(found: CardCertificate, *, reason: Reason, now: datetime) -> None:
    """A linked certificate was found revoked: it opens nothing more, and its owner is told why."""
    if not CardCertificate.objects.filter(pk=found.pk, ended_at=None).update(ended_at=now, because=reason.value):
        return
    detail: audit.Detail = {"method": "jpki", "because": reason.value, "id": str(found.pk)}
    audit.record(Event.CREDENTIAL_REMOVED, by=None, now=now, detail=detail)
    notices.tell(notices.Kind.CREDENTIAL_REMOVED, to=[found.person], subject=None, now=now, detail=detail)


def _hash(found: Verified) -> bytes:
    return sealed.blind("certificate", found.name)
