"""Passkeys: enrol, sign in with, remove. What an authenticator signed is checked by py_webauthn.

User verification is always asked for and always required: a passkey alone is aal2. The challenge travels in a signed
cookie that only its ceremony and its person can use, for five minutes, and once.
Source: W3C Web Authentication Level 3, §7.1 and §7.2.
"""

from __future__ import annotations

import json
import secrets
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import cbor2
import webauthn
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from consent import audit, notices
from consent.audit import Event
from consent.models import Person
from consent.refusal import Because, Refusal
from phr.smart.login_models import Passkey, UsedChallenge

LIFE = timedelta(minutes=5)
MOST = 20  # of one person
LONGEST = 20_000  # characters of a credential in JSON
_SIGNER = signing.Signer(salt="phr.smart.passkeys")
# What the parsers of a hostile credential raise, beside the library's own.
_MALFORMED = (
    WebAuthnException, cbor2.CBORError, InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError, KeyError,
    IndexError, AttributeError, OverflowError, RecursionError, struct.error,
)  # fmt: skip


class Ceremony(StrEnum):
    ENROL = "enrol"
    USE = "use"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page gives to the browser (`options`, JSON) and what it keeps in its cookie (`ticket`)."""

    options: str
    ticket: str


def host() -> str:
    return urlsplit(settings.PHR_BASE_URL).hostname or ""


def origin() -> str:
    parts = urlsplit(settings.PHR_BASE_URL)
    return f"{parts.scheme}://{parts.netloc}"


def possible() -> bool:
    """Passkeys belong to a domain name; a server reached by its address has none."""
    try:
        ip_address(host())
    except ValueError:
        return bool(host())
    return False


def ask_to_enrol(*, by: Person, now: datetime) -> Asked:
    """A new passkey that the authenticator keeps and can find by itself (discoverable)."""
    challenge, handle = secrets.token_bytes(32), _handle(by)
    options = webauthn.generate_registration_options(
        rp_id=host(), rp_name="Tsumugi", user_name=by.username, user_display_name=by.username, user_id=handle,
        challenge=challenge, timeout=int(LIFE.total_seconds()) * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_descriptors(by),
    )  # fmt: skip
    return Asked(webauthn.options_to_json(options), _ticket(Ceremony.ENROL, challenge, by.pk, now, handle))


def ask_to_use(*, of: Person | None, now: datetime) -> Asked:
    """Any passkey of this site, or (when it is known who she is) one of hers."""
    challenge = secrets.token_bytes(32)
    options = webauthn.generate_authentication_options(
        rp_id=host(), challenge=challenge, timeout=int(LIFE.total_seconds()) * 1000,
        allow_credentials=_descriptors(of) if of else None, user_verification=UserVerificationRequirement.REQUIRED,
    )  # fmt: skip
    return Asked(webauthn.options_to_json(options), _ticket(Ceremony.USE, challenge, of.pk if of else None, now))


@transaction.atomic
def enrol(*, credential: str, ticket: str, name: str, by: Person, now: datetime) -> Passkey:
    """Keep a new passkey. Raises Refusal: not what was asked for, one too many, or known already."""
    challenge, handle = _challenge(ticket, Ceremony.ENROL, by.pk, now)
    Person.objects.select_for_update().get(pk=by.pk)  # one at a time
    if Passkey.objects.filter(person=by).count() >= MOST:
        raise Refusal(f"パスキーは{MOST}個までです / at most {MOST} passkeys", because=Because.CONFLICT)
    try:
        found = webauthn.verify_registration_response(
            credential=_parsed(credential), expected_challenge=challenge, expected_rp_id=host(),
            expected_origin=origin(), require_user_verification=True,
        )  # fmt: skip
    except _MALFORMED as error:
        raise _no() from error
    try:
        with transaction.atomic():
            row = Passkey.objects.create(
                person=by, credential=found.credential_id, handle=handle, public_key=found.credential_public_key,
                sign_count=found.sign_count, name=_named(name), created_at=now,
            )  # fmt: skip
    except IntegrityError as error:
        raise Refusal("このパスキーは登録ずみです / this passkey is known", because=Because.CONFLICT) from error
    audit.record(Event.CREDENTIAL_ADDED, by=by, now=now, detail={"method": "passkey", "id": str(row.pk)})
    notices.tell(notices.Kind.CREDENTIAL_ADDED, to=[by], subject=None, now=now, detail={"method": "passkey"})
    return row


@transaction.atomic
def use(*, credential: str, ticket: str, of: Person | None, now: datetime) -> Person:
    """Who proved herself with a passkey. `of`: who it must be, if known. Raises Refusal, alike for every fault."""
    challenge, _ = _challenge(ticket, Ceremony.USE, of.pk if of else None, now)
    parsed = _parsed(credential)
    row = Passkey.objects.select_for_update(of=("self",)).select_related("person")
    key = row.filter(credential=_id(parsed)).first()
    if key is None or not key.person.is_active or (of is not None and key.person_id != of.pk):
        raise _no()
    if not _its_owner(parsed, bytes(key.handle), required=of is None):
        raise _no()
    try:
        found = webauthn.verify_authentication_response(
            credential=parsed, expected_challenge=challenge, expected_rp_id=host(), expected_origin=origin(),
            credential_public_key=bytes(key.public_key), credential_current_sign_count=key.sign_count,
            require_user_verification=True,
        )  # fmt: skip
    except _MALFORMED as error:
        raise _no() from error
    key.sign_count, key.used_at = found.new_sign_count, now
    key.save(update_fields=["sign_count", "used_at"])
    return key.person


@transaction.atomic
def remove(id: UUID, *, by: Person, now: datetime) -> None:
    """Raises Refusal when she has no such passkey."""
    count, _ = Passkey.objects.filter(pk=id, person=by).delete()
    if not count:
        raise Refusal("パスキーが見つかりません / no such passkey", because=Because.ABSENT)
    audit.record(Event.CREDENTIAL_REMOVED, by=by, now=now, detail={"method": "passkey", "id": str(id)})
    notices.tell(notices.Kind.CREDENTIAL_REMOVED, to=[by], subject=None, now=now, detail={"method": "passkey"})


def _handle(person: Person) -> bytes:
    """The user handle: the same for every passkey of a person, and telling nothing about her (§14.6.1)."""
    known = Passkey.objects.filter(person=person).values_list("handle", flat=True).first()
    return secrets.token_bytes(32) if known is None else bytes(known)


def _descriptors(person: Person) -> list[PublicKeyCredentialDescriptor]:
    ids = Passkey.objects.filter(person=person).values_list("credential", flat=True)
    return [PublicKeyCredentialDescriptor(id=bytes(id)) for id in ids]


def _ticket(ceremony: Ceremony, challenge: bytes, person: int | None, now: datetime, handle: bytes = b"") -> str:
    told = {"c": bytes_to_base64url(challenge), "f": ceremony.value, "p": person, "t": int(now.timestamp())}
    return _SIGNER.sign_object({**told, "h": bytes_to_base64url(handle)})


def _challenge(ticket: str, ceremony: Ceremony, person: int | None, now: datetime) -> tuple[bytes, bytes]:
    """The challenge of a ticket, which is used up with this, and its handle. Raises Refusal."""
    try:
        told = _SIGNER.unsign_object(ticket[:2000])
    except signing.BadSignature as error:
        raise _no() from error
    ends = told["t"] + int(LIFE.total_seconds())
    if told["f"] != ceremony.value or told["p"] != person or not told["t"] <= now.timestamp() + 1 <= ends + 1:
        raise _no()
    challenge = base64url_to_bytes(told["c"])
    _, fresh = UsedChallenge.objects.get_or_create(
        digest=sha256(challenge).digest(), defaults={"ends_at": now + 2 * LIFE}
    )
    if not fresh:
        raise _no()
    return challenge, base64url_to_bytes(told["h"])


def _parsed(credential: str) -> dict[str, Any]:
    if len(credential) > LONGEST:
        raise _no()
    try:
        told = json.loads(credential)
    except (ValueError, RecursionError) as error:
        raise _no() from error
    if not isinstance(told, dict) or not isinstance(told.get("response"), dict):
        raise _no()
    return told


def _id(parsed: dict[str, Any]) -> bytes:
    try:
        return base64url_to_bytes(parsed["rawId"])
    except _MALFORMED as error:
        raise _no() from error


def _its_owner(parsed: dict[str, Any], known: bytes, *, required: bool) -> bool:
    """§7.2 step 6: a discovered credential says whose it is, and must be hers."""
    handle = parsed["response"].get("userHandle")
    if not handle:
        return not required
    try:
        return secrets.compare_digest(base64url_to_bytes(handle), known)
    except _MALFORMED:
        return False


def _named(name: str) -> str:
    clean = "".join(sign for sign in name if sign.isprintable()).strip()
    return clean[:40] or "パスキー"


def _no() -> Refusal:
    return Refusal("パスキーを確かめられませんでした / the passkey could not be verified", place="credential")
