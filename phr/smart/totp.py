"""One-time passwords by the clock (RFC 6238): six digits, thirty seconds, SHA-1 as every authenticator app has it."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

import pyotp
from django.db import transaction
from pyotp.utils import strings_equal

from consent import audit, notices
from consent.audit import Event
from consent.models import Person
from consent.refusal import Because, Refusal
from phr.smart import sealed
from phr.smart.login_models import Totp

STEP = 30  # seconds
DRIFT = 1  # steps a clock may be off (RFC 6238 §5.2)
ISSUER = "Tsumugi"
BEGUN_LIFE = timedelta(minutes=10)  # a secret that somebody looked at and left is no trap for later


@transaction.atomic
def begin(*, by: Person, now: datetime) -> str:
    """Make a secret (base32, 160 bits) that counts once it is confirmed. One begun before is replaced.

    Raises Refusal if the person has one in use: that one is removed first.
    """
    if Totp.objects.select_for_update().filter(person=by).exclude(confirmed_at=None).exists():
        raise Refusal("すでに登録されています / already set up", because=Because.CONFLICT)
    secret = pyotp.random_base32()
    hidden, kek = sealed.seal(secret.encode(), place=sealed.totp_place(by.pk))
    Totp.objects.update_or_create(
        person=by, defaults={"secret": hidden, "kek": kek, "last_step": 0, "created_at": now, "confirmed_at": None}
    )
    return secret


def mark(secret: str) -> str:
    """What the session that began a secret keeps, to know it again."""
    return sealed.blind("totp-begun", secret).hex()


def begun(person: Person, *, marked: str, now: datetime) -> str | None:
    """The secret of this mark, if it waits to be confirmed, for ten minutes."""
    row = Totp.objects.filter(person=person, confirmed_at=None, created_at__gt=now - BEGUN_LIFE).first()
    secret = _secret(row) if row else None
    return secret if secret is not None and strings_equal(mark(secret), marked) else None


def address(secret: str, person: Person) -> str:
    """What the QR code says: the `otpauth` address that authenticator apps read."""
    return pyotp.TOTP(secret).provisioning_uri(name=person.username, issuer_name=ISSUER)


@transaction.atomic
def confirm(*, secret: str, code: str, by: Person, now: datetime) -> None:
    """The first right code puts this secret into use, if it is still the one begun last. Raises Refusal."""
    row = Totp.objects.select_for_update().filter(person=by, confirmed_at=None).first()
    step = _step(row, code, now) if row and begun(by, marked=mark(secret), now=now) else None
    if row is None or step is None:
        raise Refusal("コードが違います / the code is wrong", place="code")
    row.confirmed_at, row.last_step = now, step
    row.save(update_fields=["confirmed_at", "last_step"])
    audit.record(Event.CREDENTIAL_ADDED, by=by, now=now, detail={"method": "totp"})
    notices.tell(notices.Kind.CREDENTIAL_ADDED, to=[by], subject=None, now=now, detail={"method": "totp"})


@transaction.atomic
def right(code: str, *, of: Person, now: datetime) -> bool:
    """Whether this is a code of now, or of half a minute before or after, that was not used. A right one is used up."""
    row = Totp.objects.select_for_update().filter(person=of).exclude(confirmed_at=None).first()
    step = _step(row, code, now) if row else None
    if row is None or step is None:
        return False
    row.last_step = step
    row.save(update_fields=["last_step"])
    return True


@transaction.atomic
def remove(*, by: Person, now: datetime) -> None:
    """Raises Refusal when there is none."""
    count, _ = Totp.objects.filter(person=by).exclude(confirmed_at=None).delete()
    if not count:
        raise Refusal("登録されていません / not set up", because=Because.ABSENT)
    audit.record(Event.CREDENTIAL_REMOVED, by=by, now=now, detail={"method": "totp"})
    notices.tell(notices.Kind.CREDENTIAL_REMOVED, to=[by], subject=None, now=now, detail={"method": "totp"})


def _step(row: Totp, code: str, now: datetime) -> int | None:
    """The step this code belongs to; steps up to the last one used are over (RFC 6238 §5.2)."""
    typed = "".join(unicodedata.normalize("NFKC", code).split())
    maker, current = pyotp.TOTP(_secret(row)), int(now.timestamp()) // STEP
    fitting = [
        step for step in range(current - DRIFT, current + DRIFT + 1) if strings_equal(maker.generate_otp(step), typed)
    ]
    return next((step for step in fitting if step > row.last_step), None)


def _secret(row: Totp) -> str:
    return sealed.opened(row.secret, row.kek, place=sealed.totp_place(row.person_id)).decode()
