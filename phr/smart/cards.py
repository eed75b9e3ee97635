"""Cards linked to accounts: the pairwise subject of the card provider, kept sealed, found by a keyed hash."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from consent import audit, notices, proxies
from consent.audit import Event
from consent.models import Person
from consent.proxies import Why
from consent.refusal import Because, Refusal
from phr.smart import sealed
from phr.smart.login_models import CardAccount
from phr.smart.oidc_login import Proved


def person_of(proved: Proved, *, now: datetime) -> Person | None:
    """Whose card this is, if it is linked and the account stands."""
    row = _rows(proved).select_related("person").first()
    if row is None or not row.person.is_active:
        return None
    CardAccount.objects.filter(pk=row.pk).update(used_at=now)
    return row.person


@transaction.atomic
def link(proved: Proved, *, by: Person, now: datetime) -> CardAccount:
    """Link a card to the account of whoever is signed in and has just proved both. Her earlier one ends (card change).
    The proxies wait for her whenever another card ever stood before: taken away first, it is changed all the same.

    Raises Refusal when it is linked to another account; whose is not said.
    """
    Person.objects.select_for_update().get(pk=by.pk)  # one at a time
    known = _rows(proved).first()
    if known is not None and known.person_id == by.pk:
        return known
    changed = CardAccount.objects.filter(person=by).exclude(issuer=proved.issuer, subject_hash=_hash(proved)).exists()
    CardAccount.objects.filter(person=by, ended_at=None).update(ended_at=now)
    hidden, kek = sealed.seal(proved.subject.encode(), place=sealed.card_place(by.pk))
    try:
        with transaction.atomic():
            row = CardAccount.objects.create(
                person=by, issuer=proved.issuer, subject_hash=_hash(proved), subject=hidden, kek=kek, linked_at=now,
                used_at=now,
            )  # fmt: skip
    except IntegrityError as error:
        why = "このカードは別のアカウントにつながっています / the card belongs to another account"
        raise Refusal(why, because=Because.CONFLICT) from error
    audit.record(Event.CREDENTIAL_ADDED, by=by, now=now, detail={"method": "card", "id": str(row.pk)})
    notices.tell(notices.Kind.CREDENTIAL_ADDED, to=[by], subject=None, now=now, detail={"method": "card"})
    if changed:
        proxies.account_changed(person=by, why=Why.CARD_CHANGE, now=now)
    return row


@transaction.atomic
def unlink(*, by: Person, now: datetime) -> None:
    """The card opens the account no more. Raises Refusal when none is linked."""
    if not CardAccount.objects.filter(person=by, ended_at=None).update(ended_at=now):
        raise Refusal("カードはつながっていません / no card is linked", because=Because.ABSENT)
    audit.record(Event.CREDENTIAL_REMOVED, by=by, now=now, detail={"method": "card"})
    notices.tell(notices.Kind.CREDENTIAL_REMOVED, to=[by], subject=None, now=now, detail={"method": "card"})


def _rows(proved: Proved) -> QuerySet[CardAccount]:
    return CardAccount.objects.filter(issuer=proved.issuer, subject_hash=_hash(proved), ended_at=None)


def _hash(proved: Proved) -> bytes:
    return sealed.blind("card", proved.issuer, proved.subject)
