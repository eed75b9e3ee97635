"""What a person has a right to: disclosure of everything, correction by who wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any
from uuid import UUID

from django.db.models import F
from django.http import StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent.audit import Event
from consent.decide import Caller, Capacity
from consent.models import Correction, Organization, Person, Subject, Transfer
from consent.refusal import Absent
from phr.api.frame import endpoint, person_of, read_at_desk, record_of, require_fresh, staff_of
from phr.caller import request_id
from phr.records.reading import Refused
from phr.smart.launches import PURPOSES
from phr.trust import correcting, disclosing, porting, transferring
from phr.trust.acting import caller_for, staff_caller

ZIP = "application/zip"
WRITERS = (
    Organization.Kind.CLINIC, Organization.Kind.HOSPITAL, Organization.Kind.PHARMACY, Organization.Kind.MUNICIPALITY,
    Organization.Kind.SCHOOL, Organization.Kind.AMBULANCE,
)  # fmt: skip


class CorrectionBody(serializers.Serializer[Any]):
    reference = serializers.RegexField(r"^[A-Z][A-Za-z]{1,39}/[A-Za-z0-9\-.]{1,64}$", help_text="Type/id")
    what = serializers.CharField(max_length=correcting.LONGEST, help_text="何が違うか / what is wrong")
    why = serializers.CharField(max_length=correcting.LONGEST, help_text="なぜか / why")


class AnswerBody(serializers.Serializer[Any]):
    amended = serializers.BooleanField(help_text="記録を訂正済み / the resource has been amended")
    reasons = serializers.CharField(
        max_length=correcting.LONGEST, allow_blank=True, required=False, default="", help_text="理由 / reasons"
    )


class CorrectionShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    reference = serializers.CharField()
    version = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Correction.State.choices)
    what = serializers.CharField(allow_null=True)
    why = serializers.CharField(allow_null=True)
    asked_at = serializers.DateTimeField()
    reasons = serializers.CharField(allow_null=True)
    answered_at = serializers.DateTimeField(allow_null=True)
    amended_version = serializers.IntegerField(allow_null=True)


class TransferBody(serializers.Serializer[Any]):
    to = serializers.URLField(max_length=200, help_text="移転先 / the other trust (https)")


class TransferShape(serializers.Serializer[Any]):
    id = serializers.UUIDField(allow_null=True)
    state = serializers.ChoiceField(choices=[("joint", "joint"), *Transfer.State.choices])
    to = serializers.CharField()
    asked_at = serializers.DateTimeField()
    joint_act = serializers.IntegerField(source="joint_act_id")


def caller_at(request: Request, person: Person, record: Subject, capacity: Capacity) -> Caller:
    """The person at her record, whole: the token's scopes for FHIR do not cut her right to it."""
    client = request.auth.client if isinstance(request.auth, Caller) else "web"
    id = request_id(request._request)  # noqa: SLF001 (the framework's own name for it)
    return caller_for(person, record.pk, capacity, client=client, request=id)


def file_of(parts: Iterator[bytes], name: str) -> StreamingHttpResponse:
    """A ZIP file as it is made. What fails at once still gets an answer of its own. Raises Absent."""
    try:
        first = next(parts, b"")
    except Refused:
        raise Absent from None
    answer = StreamingHttpResponse(chain([first], parts), content_type=ZIP)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["X-Accel-Buffering"] = "no"  # a proxy would put it on its disk, in the clear
    return answer


@endpoint("GET", gives=OpenApiTypes.BINARY, media=ZIP)
def disclosure(request: Request, subject: UUID) -> StreamingHttpResponse:
    """保有するすべての情報の開示 / Everything kept about the person: record, log, consents, provisions, notices.
    ZIP of NDJSON with manifest.json (rows, SHA-256) and index.html. Needs a fresh sign-in."""
    now, person = timezone.now(), person_of(request)
    record, capacity = record_of(request, subject, now=now, line=False)
    require_fresh(request, now=now)
    caller = caller_at(request, person, record, capacity)
    asked = disclosing.Asked(subject=record, person=person, capacity=capacity, caller=caller, now=now)
    return file_of(disclosing.disclose(asked, clock=timezone.now), f"disclosure-{now:%Y%m%d}.zip")


@endpoint("GET", gives=OpenApiTypes.BINARY, media=ZIP)
def portability(request: Request, subject: UUID) -> StreamingHttpResponse:
    """記録と同意の持ち出し / The record (FHIR R4) and the consents in force, for another server: ZIP of NDJSON with
    manifest.json. Needs a fresh sign-in."""
    now, person = timezone.now(), person_of(request)
    record, capacity = record_of(request, subject, now=now)
    require_fresh(request, now=now)
    caller = caller_at(request, person, record, capacity)
    parts = porting.export(record, capacity=capacity, caller=caller, clock=timezone.now)
    return file_of(parts, f"record-{now:%Y%m%d}.zip")


@endpoint("GET", gives=TransferShape(many=True))
def list_transfers(request: Request, subject: UUID) -> Response:
    """別の信託への移転の指示 / Instructions to move the record to another trust."""
    record, _ = record_of(request, subject, now=timezone.now())
    return Response(TransferShape(Transfer.objects.filter(subject=record).order_by("-asked_at"), many=True).data)


@endpoint("POST", takes=TransferBody, gives=TransferShape, scope="trust.write", status=202)
def ask_transfer(request: Request, subject: UUID, given: dict[str, Any]) -> Response:
    """別の信託への移転を指示する / Instruct the trust to move the record to another. Needs a fresh sign-in; a child's
    needs both guardians (state `joint` until then)."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    require_fresh(request, now=now)
    made = transferring.ask(subject=record, by=person_of(request), to=given["to"], now=now)
    if isinstance(made, Transfer):
        return Response(TransferShape(made).data, status=202)
    told = {"id": None, "state": "joint", "to": given["to"], "asked_at": made.asked_at, "joint_act_id": made.pk}
    return Response(TransferShape(told).data, status=202)


@endpoint("POST", gives=TransferShape, scope="trust.write")
def cancel_transfer(request: Request, subject: UUID) -> Response:
    """移転の指示を取り消す / Stay after all."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    return Response(TransferShape(transferring.cancel(subject=record, by=person_of(request), now=now)).data)


@endpoint("GET", gives=CorrectionShape(many=True))
def list_corrections(request: Request, subject: UUID) -> Response:
    """自分が申し出た訂正 / The corrections one has asked for."""
    record, capacity = record_of(request, subject, now=timezone.now())
    rows = Correction.objects.filter(subject=record)
    if capacity is not Capacity.SELF:
        rows = rows.filter(asked_by=person_of(request))
    return Response([_correction(row) for row in rows.order_by("-asked_at")[:200]])


@endpoint("POST", takes=CorrectionBody, gives=CorrectionShape, scope="trust.write", status=201)
def ask_correction(request: Request, subject: UUID, given: dict[str, Any]) -> Response:
    """訂正を申し出る / Ask the organisation that wrote a resource to correct it."""
    now, person = timezone.now(), person_of(request)
    record, capacity = record_of(request, subject, now=now)
    made = correcting.ask(
        subject=record, by=person, capacity=capacity, caller=caller_at(request, person, record, capacity),
        reference=given["reference"], what=given["what"], why=given["why"], now=now,
    )  # fmt: skip
    return Response(_correction(made), status=201)


@endpoint("GET", gives=CorrectionShape(many=True))
def desk_corrections(request: Request) -> Response:
    """自機関への訂正の申し出 / What one's own office is asked to correct, open ones first."""
    by = staff_of(request, *WRITERS)
    rows = Correction.objects.filter(organization=by.organization_id, subject__state=Subject.State.ACTIVE)
    found = list(rows.order_by(F("answered_at").asc(nulls_first=True), "asked_at")[:200])
    read_at_desk(request, Event.CORRECTION_READ, [row.subject_id for row in found], by=by, now=timezone.now())
    return Response([_correction(row) for row in found])


@endpoint("POST", takes=AnswerBody, gives=CorrectionShape, scope="trust.write")
def answer_correction(request: Request, id: int, given: dict[str, Any]) -> Response:
    """訂正の申し出に答える / Answer: amended (write the new version first), or refused with reasons."""
    by = staff_of(request, *WRITERS)
    office = by.organization
    assert office is not None
    caller = staff_caller(by, purpose=PURPOSES[office.kind][0], client="desk", request=request_id(request._request))  # noqa: SLF001
    found = correcting.answer(
        correction=id, by=by, caller=caller, amended=given["amended"], reasons=given["reasons"], now=timezone.now()
    )
    return Response(_correction(found))


def _correction(row: Correction) -> dict[str, Any]:
    return dict(CorrectionShape(correcting.shown(row)).data)


urlpatterns = [
    path("records/<uuid:subject>/disclosure", disclosure, name="disclosure"),
    path("records/<uuid:subject>/portability", portability, name="portability"),
    path("records/<uuid:subject>/transfers", list_transfers, name="transfers"),
    path("records/<uuid:subject>/transfers/ask", ask_transfer, name="transfer-ask"),
    path("records/<uuid:subject>/transfers/cancel", cancel_transfer, name="transfer-cancel"),
    path("records/<uuid:subject>/corrections", list_corrections, name="corrections"),
    path("records/<uuid:subject>/corrections/ask", ask_correction, name="correction-ask"),
    path("desk/corrections", desk_corrections, name="desk-corrections"),
    path("desk/corrections/<int:id>/answer", answer_correction, name="correction-answer"),
]
