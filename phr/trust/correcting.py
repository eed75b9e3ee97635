"""Correction (IT-14; APPI Art. 34): the person says what is wrong, the organisation that wrote it answers.

Her own words she changes herself. What she asks and what she is answered is sealed by her key, as the record is.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from consent import audit, keys, kin
from consent.audit import Event
from consent.decide import Caller, Capacity
from consent.models import Correction, Organization, Person, Subject
from consent.notices import Kind, family_of, tell, tell_organization
from consent.refusal import Absent, Because, Refusal
from phr.records import vault
from phr.records.gateway import Gone, NotFound, Records
from phr.records.reading import Refused

LONGEST = 4000  # characters of one text
MOST_OPEN = 20  # requests of one record at a time


@transaction.atomic
def ask(
    *, subject: Subject, by: Person, capacity: Capacity, caller: Caller, reference: str, what: str, why: str,
    now: datetime,
) -> Correction:  # fmt: skip
    """Ask the organisation that wrote a resource to correct it. `reference`: "Type/id" of what she can see.

    Raises Absent: no such resource for her; Refusal: it is the family's own, or she asked already.
    """
    if not (what := _text(what)) or not (why := _text(why)):
        raise Refusal("何をなぜ直すのかが必要です / say what is wrong and why", place="what" if not what else "why")
    type, _, id = reference.partition("/")
    current = Subject.objects.select_for_update().get(pk=subject.pk)
    try:
        found = Records.opened_by(caller, now=now).read(type, id)
    except (NotFound, Gone, Refused):
        raise Absent(place="reference") from None
    if subject.pk not in found.facts.subjects:
        raise Absent(place="reference")
    author = found.facts.author
    if author is None:
        raise Refusal(
            "ご家族が書いた記録です。直接直せます / the family wrote it: change it directly", because=Because.CONFLICT
        )
    waiting = Correction.objects.filter(subject=current, state=Correction.State.OPEN)
    if waiting.filter(type=type, fhir_id=id).exists() or waiting.count() >= MOST_OPEN:
        raise Refusal("すでに申し出があります / it was asked for already", because=Because.CONFLICT)
    made = Correction(
        subject=current, asked_by=by, capacity=capacity.value, organization_id=author, type=type, fhir_id=id,
        version=found.version, asked_at=now,
    )  # fmt: skip
    made.asked_key, made.asked = _seal(made, "asked", {"what": what, "why": why})
    made.save(force_insert=True)
    _say(Event.CORRECTION_ASKED, made, by, now)
    desk = Organization.objects.get(pk=author)
    tell_organization(
        Kind.CORRECTION_ASKED, to=desk, subject=current.pk, now=now, detail={"correction": made.pk}
    )  # fmt: skip
    return made


@transaction.atomic
def answer(*, correction: int, by: Person, caller: Caller, amended: bool, reasons: str, now: datetime) -> Correction:
    """The desk's answer, shown to the person. `amended`: the resource has a newer version by now, as any other change.

    Raises Absent: not this office's, one's own family's; Refusal: answered before, no reasons for a no, nothing was
    changed.
    """
    named = Correction.objects.filter(pk=correction, organization=by.organization_id).first()
    if named is None or kin.is_kin(by, named.subject_id):
        raise Absent
    keys.require_living(named.subject_id)
    found = Correction.objects.select_for_update().get(pk=named.pk)
    if found.state != Correction.State.OPEN:
        raise Refusal("すでに回答があります / it was answered already", because=Because.CONFLICT)
    reasons = _text(reasons)
    if not amended and not reasons:
        raise Refusal("訂正しない理由が必要です / a no needs its reasons", place="reasons")
    if amended:
        found.amended_version = _newer(found, caller, now)
    found.state = Correction.State.AMENDED if amended else Correction.State.REFUSED
    found.answer_key, found.answer = _seal(found, "answer", {"reasons": reasons})
    found.answered_by, found.answered_at = by, now
    found.save()
    _say(Event.CORRECTION_ANSWERED, found, by, now)
    told = [person for person in family_of(found.subject, now=now) if person.pk == found.asked_by_id]
    tell(Kind.CORRECTION_ANSWERED, to=told, subject=found.subject_id, now=now, detail={"correction": found.pk})
    return found


def shown(correction: Correction) -> dict[str, Any]:
    """A request with its texts, for who asked and for the desk."""
    asked, told = _open(correction, "asked"), _open(correction, "answer")
    return {
        "id": correction.pk, "reference": f"{correction.type}/{correction.fhir_id}", "version": correction.version,
        "state": correction.state, "what": asked.get("what"), "why": asked.get("why"),
        "asked_at": correction.asked_at, "reasons": told.get("reasons"), "answered_at": correction.answered_at,
        "amended_version": correction.amended_version,
    }  # fmt: skip


def _newer(found: Correction, caller: Caller, now: datetime) -> int:
    """The version that stands now. Raises Refusal where it is still the one that was objected to."""
    try:
        version = Records.opened_by(caller, now=now).read(found.type, found.fhir_id).version
    except Gone:
        return found.version + 1  # taken away: that too is a correction
    except (NotFound, Refused):
        raise Absent from None
    if version <= found.version:
        text = "記録がまだ変わっていません。先に訂正してください / the resource is unchanged: correct it first"
        raise Refusal(text, because=Because.CONFLICT)
    return version


def _text(text: str) -> str:
    return text.replace("\x00", "").strip()[:LONGEST]


def _place(correction: Correction, part: str) -> str:
    stamp = int(correction.asked_at.timestamp() * 1_000_000)
    return f"consent_correction|{part}|{correction.type}/{correction.fhir_id}|{stamp}"


def _seal(correction: Correction, part: str, told: dict[str, str]) -> tuple[int, bytes]:
    owner: UUID = correction.subject_id
    key = vault.keys_for([owner])[owner]
    text = json.dumps(told, ensure_ascii=False).encode()
    return key.version, vault.seal(text, place=_place(correction, part), subjects=(owner,), keys=(key,))


def _open(correction: Correction, part: str) -> dict[str, Any]:
    """What was said; empty where nothing was, or where the key is gone."""
    sealed = correction.asked if part == "asked" else correction.answer
    version = correction.asked_key if part == "asked" else correction.answer_key
    if sealed is None or version is None:
        return {}
    key, owner = vault.all_keys(correction.subject_id).get(version), (correction.subject_id,)
    try:
        text = vault.unseal(bytes(sealed), place=_place(correction, part), subjects=owner, keys=[key], version=version)
    except vault.CannotOpen:
        return {}
    told: dict[str, Any] = json.loads(text)
    return told


def _say(event: Event, correction: Correction, by: Person, now: datetime) -> None:
    about: audit.Detail = {"correction": correction.pk, "type": correction.type, "id": correction.fhir_id}
    audit.record(event, by=by, subject=correction.subject_id, now=now, detail={**about, "state": correction.state})
