"""Entrusting a record to us, on one version of the terms (IT-01). Published terms and accepted texts never change."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum

from django.db import transaction
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery

from consent import audit, contract
from consent.audit import Event
from consent.decide import Capacity, consenting, entitled
from consent.desk import operator
from consent.in_force import in_force_between
from consent.models import EthicsDecision, Mandate, Person, Subject, Terms
from consent.refusal import Absent, Because, Refusal

LONGEST = 100_000  # characters of one text


class Locale(StrEnum):
    """The languages the terms are published in."""

    JA = "ja"
    EN = "en"


def digest(text: str) -> str:
    """SHA-256, in hex, of the text as UTF-8: what an acceptance keeps."""
    return hashlib.sha256(text.encode()).hexdigest()


@transaction.atomic
def publish(*, text_ja: str, text_en: str, by: Person, now: datetime) -> Terms:
    """Put down the next version of the terms. Once the board has approved it, it is the one in force (IT-30): from
    then on new provisions need its acceptance; reading does not.

    Raises Refusal: not the operator's staff, an empty text, a text that was published before.
    """
    operator(by)
    for place, text in (("text_ja", text_ja), ("text_en", text_en)):
        if not text.strip() or len(text) > LONGEST or "\x00" in text:
            raise Refusal("本文が空か、長すぎます / empty, or too long", place=place)
    hashes = digest(text_ja), digest(text_en)
    if Terms.objects.filter(Q(sha256_ja=hashes[0]) | Q(sha256_en=hashes[1])).exists():
        raise Refusal("同じ本文がすでに公開されています / this text was published before", because=Because.CONFLICT)
    last = Terms.objects.select_for_update().order_by("-version").first()
    made = Terms.objects.create(
        version=last.version + 1 if last else 1, text_ja=text_ja, text_en=text_en,
        sha256_ja=hashes[0], sha256_en=hashes[1], published_at=now, published_by=by,
    )  # fmt: skip
    audit.record(Event.TERMS_PUBLISHED, by=by, now=now, detail={"terms": made.version})
    return made


def current() -> Terms | None:
    """The version in force: the newest on which the board's last word is an approval; None before the first."""
    return _approved().order_by("-version").first()


def current_version() -> int:
    """Its number; 0 before the first."""
    return _approved().aggregate(last=Max("version"))["last"] or 0


def _approved() -> QuerySet[Terms]:
    """An approval of terms counts until the board says otherwise: its end asks for a review, it takes nothing away."""
    said = EthicsDecision.objects.filter(terms=OuterRef("pk")).order_by("-decided_at", "-pk")
    last = Subquery(said.values("outcome")[:1])
    return Terms.objects.annotate(last_word=last).filter(last_word=EthicsDecision.Outcome.APPROVE)


def text_of(sha256: str) -> tuple[Terms, Locale, str]:
    """The published text with this hash, exactly as it was accepted. Raises Absent."""
    terms = Terms.objects.filter(Q(sha256_ja=sha256) | Q(sha256_en=sha256)).first()
    if terms is None:
        raise Absent
    locale = Locale.JA if terms.sha256_ja == sha256 else Locale.EN
    text = terms.text_ja if locale is Locale.JA else terms.text_en
    if digest(text) != sha256:
        raise Refusal("本文が公開時と異なります / the text is not the one that was published", because=Because.CONFLICT)
    return terms, locale, text


@transaction.atomic
def accept(*, subject: Subject, sha256: str, by: Person, now: datetime) -> Mandate:
    """Entrust a record on the text with this hash. The same again changes nothing; an earlier Mandate ends.

    Raises Absent: not a record of this person's; Refusal: not the text of the version in force, a guardian from 16 on
    (G-10), or a contract that is ending.
    """
    held = Subject.objects.select_for_update().get(pk=subject.pk)
    capacity = _entitled(held, by, now)
    contract.require_open(held.pk)
    terms = current()
    if terms is None or sha256 not in (terms.sha256_ja, terms.sha256_en):
        raise Refusal("現行の約款ではありません / not the terms in force", place="sha256", because=Because.CONFLICT)
    standing = Mandate.objects.filter(subject=held, ended_at=None).first()
    if standing is not None and standing.terms_id == terms.pk:
        return standing
    if standing is not None:
        _end(standing, now)
    locale = Locale.JA if sha256 == terms.sha256_ja else Locale.EN
    made = Mandate.objects.create(
        person=by,
        subject=held,
        terms=terms,
        capacity=capacity.value,
        locale=locale.value,
        sha256=sha256,
        accepted_at=now,
    )
    detail = {"mandate": made.pk, "terms": terms.version, "capacity": capacity.value}
    audit.record(Event.MANDATE_ACCEPTED, by=by, subject=held.pk, now=now, detail=detail)
    return made


@transaction.atomic
def end(*, subject: Subject, by: Person, now: datetime) -> None:
    """Take the Mandate back: nothing new is provided from here on. Without one, nothing happens.

    Raises Absent; Refusal for a guardian from 16 on (G-10).
    """
    held = Subject.objects.select_for_update().get(pk=subject.pk)
    _entitled(held, by, now)
    standing = Mandate.objects.filter(subject=held, ended_at=None).select_related("terms").first()
    if standing is None:
        return
    _end(standing, now)
    detail = {"mandate": standing.pk, "terms": standing.terms.version}
    audit.record(Event.MANDATE_ENDED, by=by, subject=held.pk, now=now, detail=detail)


def of(subject: Subject) -> list[Mandate]:
    """Every acceptance for this record, newest first; at most one stands."""
    return list(Mandate.objects.filter(subject=subject).select_related("terms").order_by("-accepted_at", "-pk"))


def _entitled(subject: Subject, by: Person, now: datetime) -> Capacity:
    in_force = in_force_between(by.pk, subject.pk, now=now)
    capacity = entitled(in_force, now)
    if capacity is None:
        raise Absent
    if capacity is Capacity.GUARDIAN and consenting(in_force, now) is None:
        raise Refusal("16歳からは本人だけができます / from 16 only the young person may", because=Because.FORBIDDEN)
    return capacity


def _end(mandate: Mandate, now: datetime) -> None:
    mandate.ended_at = now
    mandate.save(update_fields=["ended_at"])
