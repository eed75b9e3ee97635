"""When factors are lost: recovery codes on paper, a password changed, a reset that an officer opens in person.

Every one of these tells the person, ends what may be in a stranger's hands, and has the proxies looked at again (G-09).
"""

from __future__ import annotations

import secrets
import unicodedata
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from consent import audit, notices, proxies
from consent.audit import Event
from consent.models import Guardianship, Organization, Person
from consent.proxies import Why
from consent.refusal import Because, Refusal
from phr.smart.login_models import CardAccount, KnownDevice, Passkey, RecoveryCode, RecoveryTicket, Totp
from phr.smart.models import Launch

CODES = 10
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # 32 signs, without those that look alike
LENGTH = 16  # 80 bits
TICKET_LIFE = timedelta(minutes=30)


@transaction.atomic
def new_codes(*, by: Person, now: datetime) -> list[str]:
    """Ten new codes, shown once; the old ones end, and she is told.

    Raises Refusal without a second factor: they stand in for one, and made before it they would only lie in wait.
    """
    if not (Passkey.objects.filter(person=by).exists() or _totps(by).exclude(confirmed_at=None).exists()):
        why = "先にパスキーか認証アプリを登録してください / set up a second factor first"
        raise Refusal(why, because=Because.CONFLICT)
    RecoveryCode.objects.filter(person=by).delete()
    codes = [_code() for _ in range(CODES)]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(person=by, digest=_digest("code", str(by.pk), code), created_at=now) for code in codes
    )
    detail: audit.Detail = {"method": "recovery-codes", "count": len(codes)}
    audit.record(Event.CREDENTIAL_ADDED, by=by, now=now, detail=detail)
    notices.tell(notices.Kind.CREDENTIAL_ADDED, to=[by], subject=None, now=now, detail=detail)
    return codes


def codes_left(person: Person) -> int:
    return RecoveryCode.objects.filter(person=person, used_at=None).count()


@transaction.atomic
def use_code(code: str, *, of: Person, now: datetime) -> bool:
    """Whether this is an unused code of the person; a right one is used up, and she is told."""
    digest = _digest("code", str(of.pk), code)
    if not RecoveryCode.objects.filter(person=of, digest=digest, used_at=None).update(used_at=now):
        return False
    detail: audit.Detail = {"method": "recovery-code", "count": codes_left(of)}
    audit.record(Event.ACCOUNT_RECOVERED, by=of, now=now, detail=detail)
    notices.tell(notices.Kind.ACCOUNT_RECOVERED, to=[of], subject=None, now=now, detail=detail)
    proxies.account_changed(person=of, why=Why.RECOVERY, now=now)
    return True


@transaction.atomic
def change_password(*, password: str, by: Person, now: datetime) -> None:
    """A new password: other sessions end (they carry a hash of the old one), and so does what knows her browsers.

    Raises Refusal when it is too weak.
    """
    _set_password(by, password)
    audit.record(Event.PASSWORD_CHANGED, by=by, now=now)
    notices.tell(notices.Kind.PASSWORD_CHANGED, to=[by], subject=None, now=now)


@transaction.atomic
def open_ticket(person: Person, *, factors_lost: bool = False, by: Person, now: datetime) -> str:
    """An officer has the person before her, has seen her papers, and opens a reset. Returns the code, shown once.

    `factors_lost`: her passkeys, one-time passwords and card go with it. An older ticket of hers ends. Raises Refusal
    for oneself and one's family, for the accounts of staff and operators (they open more than one record: whoever runs
    the service resets them), for a person who was stopped, and for anybody but an officer of a municipality.
    """
    if person.pk == by.pk or not _may_open(by):
        raise Refusal("この手続きはできません / not for oneself, nor by others", because=Because.FORBIDDEN)
    if _at_work(person):
        why = "職員・運営者のアカウントは窓口では再設定できません / not for staff and operators"
        raise Refusal(why, because=Because.FORBIDDEN)
    if _family(person, by):
        raise Refusal("家族の手続きはできません / not for one's own family", because=Because.FORBIDDEN)
    if not person.is_active:
        raise Refusal("停止中のアカウントです / the account is stopped", because=Because.CONFLICT)
    RecoveryTicket.objects.filter(person=person, used_at=None).delete()
    code = _code()
    RecoveryTicket.objects.create(
        person=person, opened_by=by, digest=_digest("ticket", code), factors_lost=factors_lost, created_at=now,
        ends_at=now + TICKET_LIFE,
    )  # fmt: skip
    audit.record(Event.RECOVERY_OPENED, by=by, now=now, detail={"id": str(person.pk), "method": "in-person"})
    notices.tell(notices.Kind.ACCOUNT_RECOVERED, to=[person], subject=None, now=now, detail={"method": "in-person"})
    return code


@transaction.atomic
def recover(*, username: str, code: str, password: str, now: datetime) -> Person:
    """Use a ticket: a new password; sessions, known browsers and the apps' tokens end. Second factors stay.

    They go too if the ticket says that they are lost; recovery codes, which may have been copied, go always. Raises
    Refusal, alike for an unknown name, a wrong code, one whose time is over, and one whose officer is none any more.
    """
    rows = RecoveryTicket.objects.select_for_update(of=("self",)).select_related("person", "opened_by__organization")
    ticket = rows.filter(digest=_digest("ticket", code), used_at=None, ends_at__gt=now).first()
    if ticket is None or ticket.person.username != username.strip() or not _stands(ticket):
        raise Refusal("ユーザー名か再設定コードが違うか、期限が切れています / wrong or expired", place="code")
    person = ticket.person
    _set_password(person, password)
    ticket.used_at = now
    ticket.save(update_fields=["used_at"])
    RecoveryCode.objects.filter(person=person).delete()
    if ticket.factors_lost:
        _forget_factors(person, now)
    ended = Launch.objects.filter(person=person, revoked_at=None).update(revoked_at=now)
    audit.record(Event.ACCOUNT_RECOVERED, by=person, now=now, detail={"method": "in-person", "count": ended})
    notices.tell(notices.Kind.PASSWORD_CHANGED, to=[person], subject=None, now=now)
    proxies.account_changed(person=person, why=Why.PASSWORD_RESET, now=now)
    return person


def _stands(ticket: RecoveryTicket) -> bool:
    """Whether both are still what they were when it was opened: the officer in office, the person nobody's staff."""
    return ticket.person.is_active and not _at_work(ticket.person) and _may_open(ticket.opened_by)


def _may_open(officer: Person) -> bool:
    """Active, and of a municipality that is."""
    office = officer.organization
    if office is None or not officer.is_active:
        return False
    return office.kind == Organization.Kind.MUNICIPALITY and office.state == Organization.State.ACTIVE


def _at_work(person: Person) -> bool:
    return person.is_staff or person.is_superuser or person.organization_id is not None


def _family(person: Person, officer: Person) -> bool:
    """Whether they have, or ever had, a record in common: a child of both, or one the guardian of the other."""
    return bool(_records_of(person) & _records_of(officer))


def _records_of(person: Person) -> set[UUID]:
    linked = set(Guardianship.objects.filter(person=person).values_list("subject_id", flat=True))
    return linked | ({person.own_subject_id} if person.own_subject_id else set())


def _totps(person: Person) -> QuerySet[Totp]:
    return Totp.objects.filter(person=person)


def _forget_factors(person: Person, now: datetime) -> None:
    """Everything but the password is lost: whoever finds it opens nothing with it."""
    Passkey.objects.filter(person=person).delete()
    _totps(person).delete()
    CardAccount.objects.filter(person=person, ended_at=None).update(ended_at=now)
    audit.record(Event.CREDENTIAL_REMOVED, by=person, now=now, detail={"method": "all"})
    notices.tell(notices.Kind.CREDENTIAL_REMOVED, to=[person], subject=None, now=now, detail={"method": "all"})


def _set_password(person: Person, password: str) -> None:
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise Refusal(" ".join(error.messages), place="password") from error
    person.set_password(password)
    person.save(update_fields=["password"])
    KnownDevice.objects.filter(person=person).delete()
    _totps(person).filter(confirmed_at=None).delete()  # begun by whoever knew the old password


def _code() -> str:
    raw = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(raw[at : at + 4] for at in range(0, LENGTH, 4))


def _digest(*parts: str) -> bytes:
    """Codes have 80 random bits, so a plain hash hides them. What was typed may be small, wide or without dashes."""
    typed = unicodedata.normalize("NFKC", parts[-1]).upper()
    code = "".join(sign for sign in typed if sign in ALPHABET)
    return sha256("\x1f".join((*parts[:-1], code)).encode()).digest()
