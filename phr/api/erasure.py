"""Erasing a record: ask, look, take back; and the desks' holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import erasures, holds, kin
from consent.audit import Event
from consent.models import Erasure, LegalHold, Organization, Person, Subject
from consent.refusal import Absent
from phr.api.fields import Day
from phr.api.frame import endpoint, person_of, read_at_desk, record_of, require_fresh, staff_of
from phr.records.writers import wrote


class ErasureShape(serializers.Serializer[Any]):
    """`joint`: waits for the other guardian (`joint_act`); `waiting`: can be taken back until `due_at`."""

    state = serializers.ChoiceField(choices=["none", "joint", "waiting"])
    asked_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    joint_act = serializers.IntegerField(allow_null=True)
    held = serializers.CharField(allow_null=True, help_text="保存が必要な理由 / why it must be kept")


class HoldBody(serializers.Serializer[Any]):
    record = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=LegalHold.Kind.choices)
    reason = serializers.CharField(max_length=300)
    until = Day(allow_null=True, required=False, help_text="これより前は保存 / kept before it")


class HoldShape(serializers.Serializer[LegalHold]):
    id = serializers.IntegerField()
    record = serializers.UUIDField(source="subject_id")
    kind = serializers.CharField()
    reason = serializers.CharField()
    until = serializers.DateField(allow_null=True)
    placed_at = serializers.DateTimeField()
    lifted_at = serializers.DateTimeField(allow_null=True)


@endpoint("GET", gives=ErasureShape)
def show_erasure(request: Request, subject: UUID) -> Response:
    """消去の申し出の状態 / Whether erasing was asked for, and when it is due."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    return Response(_shown(record, now))


@endpoint("POST", gives=ErasureShape, scope="trust.write", status=202)
def ask_erasure(request: Request, subject: UUID) -> Response:
    """記録の消去を申し出る / Ask that the record be erased, for good. Needs a fresh sign-in; a child's needs both
    guardians. 法令による保存期間があれば、その後になる / Waits for holds."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    require_fresh(request, now=now)
    made = erasures.ask(subject=record, by=person_of(request), wait=timedelta(days=settings.PHR_ERASURE_DAYS), now=now)
    if isinstance(made, Erasure):
        return Response(_shown(record, now), status=202)
    told = {**_shown(record, now), "state": "joint", "asked_at": made.asked_at, "joint_act": made.pk}
    return Response(ErasureShape(told).data, status=202)


@endpoint("POST", gives=ErasureShape, scope="trust.write")
def cancel_erasure(request: Request, subject: UUID) -> Response:
    """消去の申し出を取り下げる / Keep the record after all."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    erasures.cancel(subject=record, by=person_of(request), now=now)
    return Response(_shown(record, now))


def _shown(record: Subject, now: datetime) -> dict[str, Any]:
    found, held = erasures.open_one(record), holds.standing(record, now=now)
    found = None if found and found.closing else found
    told = {
        "state": found.state if found else "none", "asked_at": found.asked_at if found else None,
        "due_at": found.due_at if found else None, "joint_act": found.joint_act_id if found else None,
        "held": holds.reason_told(held) if held else None,
    }  # fmt: skip
    return dict(ErasureShape(told).data)


@endpoint("GET", gives=HoldShape(many=True))
def list_holds(request: Request) -> Response:
    """自機関が付けた保存義務 / The holds one's own office has placed."""
    by = staff_of(request, *holds.DESKS)
    rows = LegalHold.objects.filter(organization=by.organization).exclude(subject__in=kin.records_of(by))
    found = list(rows.order_by("-placed_at")[:200])
    read_at_desk(request, Event.HOLD_READ, [hold.subject_id for hold in found], by=by, now=timezone.now())
    return Response(HoldShape(found, many=True).data)


@endpoint("POST", takes=HoldBody, gives=HoldShape, scope="trust.write", status=201)
def place_hold(request: Request, given: dict[str, Any]) -> Response:
    """保存義務を付ける / Keep a record from being erased."""
    by = staff_of(request, *holds.DESKS)
    subject = _under_care(given["record"], by)
    made = holds.place(
        subject=subject, kind=LegalHold.Kind(given["kind"]), reason=given["reason"], until=given.get("until"), by=by,
        now=timezone.now(),
    )  # fmt: skip
    return Response(HoldShape(made).data, status=201)


def _under_care(record: UUID, by: Person) -> Subject:
    """A record an office may speak of: a clinic's where it wrote. Raises Absent."""
    office, found = by.organization, Subject.objects.filter(pk=record).first()
    assert office is not None
    cares = office.kind in (Organization.Kind.CLINIC, Organization.Kind.HOSPITAL)
    if found is None or (cares and not wrote(record, office.pk)):
        raise Absent
    return found


@endpoint("POST", gives=HoldShape, scope="trust.write")
def lift_hold(request: Request, id: int) -> Response:
    """保存義務を解く / End a hold of one's own office."""
    by, now = staff_of(request, *holds.DESKS), timezone.now()
    require_fresh(request, now=now)
    return Response(HoldShape(holds.lift(hold=id, by=by, now=now)).data)


urlpatterns = [
    path("records/<uuid:subject>/erasure", show_erasure, name="erasure"),
    path("records/<uuid:subject>/erasure/ask", ask_erasure, name="erasure-ask"),
    path("records/<uuid:subject>/erasure/cancel", cancel_erasure, name="erasure-cancel"),
    path("desk/holds", list_holds, name="holds"),
    path("desk/holds/place", place_hold, name="hold-place"),
    path("desk/holds/<int:id>/lift", lift_hold, name="hold-lift"),
]
