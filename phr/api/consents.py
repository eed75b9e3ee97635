"""The person's consents: what each means, giving, replacing, withdrawing, pausing, stopping everything, receipts.

Giving for provision, or to a class, needs a fresh proof of who one is; withdrawing, pausing and stopping never do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import path
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from consent import authoring, receipts, sealing, stopping
from consent.clauses import Malformed, clause_from_json
from consent.grants import given
from consent.models import Grant, Program, Subject
from consent.narrowing import Without
from consent.receipts import Terms
from consent.refusal import Absent, Because, Refusal
from consent.scope import Clause
from consent.signing import signing_key
from consent.telling import Reader, place_shown
from phr.api.consent_shapes import (
    GrantShape,
    ReceiptShape,
    StopShape,
    ToAccept,
    ToGive,
    ToReplace,
    ToWithdraw,
    VocabularyShape,
    vocabulary,
)
from phr.api.frame import endpoint, person_of, require_fresh
from phr.api.readers import grant_of, reader_of, shown
from phr.trust import consents

MOST = 500


@endpoint("GET", gives=VocabularyShape, open=True)
def show_vocabulary(request: Request) -> Response:
    """The words a consent may use. None is chosen for anybody."""
    return Response(vocabulary())


@endpoint("GET", gives=GrantShape(many=True))
def list_consents(request: Request, subject: UUID) -> Response:
    """All consents of a record, newest first: in force, proposed, paused, ended."""
    _, reader = reader_of(request, subject, now=timezone.now())
    found = Grant.objects.filter(subject=subject).order_by("-pk").iterator(MOST)
    return Response([_told(grant, reader) for grant in islice((g for g in found if shown(g, reader)), MOST)])


@endpoint("POST", takes=ToGive, gives=GrantShape, scope="trust.write", status=201)
def give_consent(request: Request, subject: UUID, given: Mapping[str, Any]) -> Response:
    """Give one. 409 names an own deny that stands against it."""
    now = timezone.now()
    record, reader = reader_of(request, subject, now=now)
    old = given.get("supersedes")
    made = _give(request, record, reader.capacity, given, None if old is None else grant_of(subject, old, reader), now)
    return Response(_told(made, reader), status=201)


@endpoint("GET", gives=GrantShape)
def show_consent(request: Request, subject: UUID, id: int) -> Response:
    """One version."""
    _, reader = reader_of(request, subject, now=timezone.now())
    return Response(_told(grant_of(subject, id, reader), reader))


@endpoint("GET", gives=GrantShape(many=True))
def list_versions(request: Request, subject: UUID, id: int) -> Response:
    """This version and all before it, newest first. None was ever changed."""
    _, reader = reader_of(request, subject, now=timezone.now())
    chain: list[Grant] = []
    one: Grant | None = grant_of(subject, id, reader)
    while one is not None and len(chain) < MOST:
        chain.append(one)
        one = one.supersedes
    return Response([_told(grant, reader) for grant in chain if shown(grant, reader)])


@endpoint("PUT", takes=ToReplace, gives=GrantShape, scope="trust.write")
def replace_consent(request: Request, subject: UUID, id: int, given: Mapping[str, Any]) -> Response:
    """Its next version, in its place."""
    now = timezone.now()
    record, reader = reader_of(request, subject, now=now)
    made = _give(request, record, reader.capacity, given, grant_of(subject, id, reader), now)
    return Response(_told(made, reader))


@endpoint("POST", takes=ToWithdraw, gives=GrantShape, scope="trust.write")
def withdraw_consent(request: Request, subject: UUID, id: int, given: Mapping[str, Any]) -> Response:
    """Withdraw it, or a part of it: then the answer is the version that permits the rest."""
    now = timezone.now()
    _, reader = reader_of(request, subject, now=now)
    grant, by = grant_of(subject, id, reader), person_of(request)
    parts = {name: frozenset(given[name]) for name in ("categories", "purposes", "actors") if given.get(name)}
    if not parts:
        consents.withdraw(grant=grant, by=by, reason=given["reason"], now=now)
        return Response(_told(grant, reader))
    if "actors" in parts and not place_shown(reader, given_by=grant.given_by_id):
        raise Refusal("相手ごとには取り消せません / not by actors: they are not told", place="actors")
    rest = consents.withdraw_part(grant=grant, without=Without(**parts), by=by, reason=given["reason"], now=now)
    return Response(_told(rest or grant_of(subject, id, reader), reader))


@endpoint("POST", gives=GrantShape, scope="trust.write")
def pause_consent(request: Request, subject: UUID, id: int) -> Response:
    """Let it count for nothing until it is resumed."""
    now = timezone.now()
    _, reader = reader_of(request, subject, now=now)
    consents.pause(grant=grant_of(subject, id, reader), by=person_of(request), now=now)
    return Response(_told(grant_of(subject, id, reader), reader))


@endpoint("POST", gives=GrantShape, scope="trust.write")
def resume_consent(request: Request, subject: UUID, id: int) -> Response:
    """Let a paused one count again. For what needs a fresh proof to give, this does too."""
    now = timezone.now()
    _, reader = reader_of(request, subject, now=now)
    grant = grant_of(subject, id, reader)
    _prove(request, _root(grant), now)
    consents.resume(grant=grant, by=person_of(request), now=now)
    return Response(_told(grant_of(subject, id, reader), reader))


@endpoint("POST", takes=ToAccept, gives=GrantShape, scope="trust.write", status=201)
def accept_proposal(request: Request, subject: UUID, id: int, given: Mapping[str, Any]) -> Response:
    """Say yes to what somebody proposed: a consent of one's own in its place."""
    now = timezone.now()
    _, reader = reader_of(request, subject, now=now)
    grant = grant_of(subject, id, reader)
    _prove(request, _root(grant), now)
    made = consents.accept(
        grant=grant,
        by=person_of(request),
        capacity=reader.capacity.value,
        now=now,
        terms=_terms(given.get("terms") or {}),
    )
    return Response(_told(made, reader), status=201)


@endpoint("POST", gives=GrantShape, scope="trust.write")
def reject_proposal(request: Request, subject: UUID, id: int) -> Response:
    """Say no to what somebody proposed."""
    now = timezone.now()
    _, reader = reader_of(request, subject, now=now)
    grant = grant_of(subject, id, reader)
    if grant.state != Grant.State.PROPOSED:
        raise Refusal("提案ではありません / it is no proposal", because=Because.CONFLICT)
    consents.reject(grant=grant, by=person_of(request), now=now)
    return Response(_told(grant_of(subject, id, reader), reader))


@endpoint("GET", gives=ReceiptShape)
def show_receipt(request: Request, subject: UUID, id: int) -> Response:
    """The signed receipt of one version; its text is made anew and has the hash that was kept."""
    now = timezone.now()
    _, reader = reader_of(request, subject, now=now)
    grant = grant_of(subject, id, reader)
    if not place_shown(reader, given_by=grant.given_by_id):
        raise Absent  # its text names them, and has to be the whole text
    if not grant.text_sha256:
        raise Refusal("だれもまだ同意していません / nobody has consented to this", because=Because.CONFLICT)
    told = given(grant)
    content = receipts.receipt(
        told, state=grant.state, sha256=grant.text_sha256, operator=settings.PHR_BASE_URL, now=now
    )
    key = signing_key(settings.PHR_AUDIT_KEY)
    signed = receipts.signed(content, key, key_id=sealing.key_id(key.public_key()))
    text = receipts.text(told, told.terms.locale)
    return Response({"receipt": signed, "content": content, "text": text, "sha256": grant.text_sha256})


@endpoint("GET", gives=StopShape)
def show_stop(request: Request, subject: UUID) -> Response:
    """Whether everything is stopped."""
    return Response(_stopped(*reader_of(request, subject, now=timezone.now())))


@endpoint("POST", gives=StopShape, scope="trust.write")
def stop_everything(request: Request, subject: UUID) -> Response:
    """Deny everything to everybody but the person and her guardians, in one call. Twice is once."""
    now = timezone.now()
    record, reader = reader_of(request, subject, now=now)
    consents.stop_everything(subject=record, by=person_of(request), capacity=reader.capacity.value, now=now)
    return Response(_stopped(record, reader))


@endpoint("POST", gives=StopShape, scope="trust.write")
def resume_everything(request: Request, subject: UUID) -> Response:
    """Lift one's own stop. Another guardian's stays, and is named."""
    now = timezone.now()
    record, reader = reader_of(request, subject, now=now)
    consents.resume_everything(subject=record, by=person_of(request), now=now)
    return Response(_stopped(record, reader))


def _stopped(record: Subject, reader: Reader) -> dict[str, Any]:
    standing = [grant.pk for grant in stopping.stops(record) if shown(grant, reader)]
    return {"stopped": bool(standing), "stops": standing}


def _give(
    request: Request, record: Subject, capacity: str, said: Mapping[str, Any], old: Grant | None, now: datetime
) -> Grant:
    try:
        root = clause_from_json(said["root"])
    except Malformed as error:
        place = str(error).partition(":")[0]
        raise Refusal("この形では読めません / it cannot be read as it stands", place=place) from error
    _prove(request, root, now)
    return consents.give(
        subject=record, root=root, by=person_of(request), capacity=str(capacity), now=now, supersedes=old,
        terms=_terms(said.get("terms") or {}), ask=said["ask"],
    )  # fmt: skip


def _prove(request: Request, root: Clause, now: datetime) -> None:
    """Decision of the trust: consent for provision, or to a class, needs a fresh proof of who one is."""
    if root.permit and authoring.takes_both(root):
        require_fresh(request, now=now)


def _terms(said: Mapping[str, Any]) -> Terms:
    """The terms as they were shown; what a program is for is the program's to say."""
    told = {name: value for name, value in said.items() if value is not None}
    named = told.get("program")
    if named is None:
        return Terms(**told)
    program = Program.objects.filter(pk=named, state=Program.State.ACTIVE).first()
    if program is None:
        raise Refusal("この事業は募集していません / this program is not active", place="terms.program")
    benefit = program.benefit_en if told.get("locale") == "en" else program.benefit_ja
    own = {"benefit": benefit, "profiling": program.profiling, "onward": program.onward, "use_class": program.use_class}
    return replace(Terms(**own), **(told | {"program": str(named), "use_class": program.use_class}))  # type: ignore[arg-type]


def _root(grant: Grant) -> Clause:
    try:
        return clause_from_json(grant.root)
    except Malformed as error:
        raise Refusal("読めない同意です / this consent cannot be read", because=Because.CONFLICT) from error


def _told(grant: Grant, reader: Reader) -> dict[str, Any]:
    return dict(GrantShape(grant, context={"reader": reader}).data)


_ONE = "records/<uuid:subject>/consents/<int:id>"
urlpatterns = [
    path("vocabulary", show_vocabulary, name="consent-vocabulary"),
    path("records/<uuid:subject>/consents", list_consents, name="consents"),
    path("records/<uuid:subject>/consents/give", give_consent, name="consent-give"),
    path(_ONE, show_consent, name="consent"),
    path(f"{_ONE}/versions", list_versions, name="consent-versions"),
    path(f"{_ONE}/replace", replace_consent, name="consent-replace"),
    path(f"{_ONE}/withdraw", withdraw_consent, name="consent-withdraw"),
    path(f"{_ONE}/pause", pause_consent, name="consent-pause"),
    path(f"{_ONE}/resume", resume_consent, name="consent-resume"),
    path(f"{_ONE}/accept", accept_proposal, name="consent-accept"),
    path(f"{_ONE}/reject", reject_proposal, name="consent-reject"),
    path(f"{_ONE}/receipt", show_receipt, name="consent-receipt"),
    path("records/<uuid:subject>/stop", show_stop, name="stop"),
    path("records/<uuid:subject>/stop/everything", stop_everything, name="stop-everything"),
    path("records/<uuid:subject>/stop/resume", resume_everything, name="resume-everything"),
]
