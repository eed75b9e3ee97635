"""Ending the contract for a record (解約): ask, look, take back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import path, reverse
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import closings, erasures, holds
from consent.models import JointAct, Subject
from phr.api.frame import endpoint, person_of, record_of, require_fresh


class ClosingShape(serializers.Serializer[Any]):
    """`joint`: waits for the other guardian (`joint_act`); `waiting`: can be taken back until `due_at`. A copy of the
    record is at `disclosure` (to read) and `portability` (to take elsewhere)."""

    state = serializers.CharField(help_text="none, joint, waiting")
    asked_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    joint_act = serializers.IntegerField(allow_null=True)
    held = serializers.CharField(allow_null=True, help_text="満了後も保存が必要な理由 / why it is then kept, locked")
    disclosure = serializers.CharField()
    portability = serializers.CharField()


@endpoint("GET", gives=ClosingShape)
def show_closing(request: Request, subject: UUID) -> Response:
    """解約の申し出の状態 / Whether the contract for a record ends, and when."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    return Response(_shown(record, now))


@endpoint("POST", gives=ClosingShape, scope="trust.write", status=202)
def ask_closing(request: Request, subject: UUID) -> Response:
    """解約を申し出る / Ask that the contract for a record end. Needs a fresh sign-in; a child's needs both guardians.
    Nothing new is taken, every consent ends, recipients must delete; a copy can be fetched, and it be taken back,
    until `due_at`. Then the record is erased, or locked for as long as a law bids to keep it."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    require_fresh(request, now=now)
    wait = timedelta(days=settings.PHR_CLOSING_DAYS)
    made = closings.ask(subject=record, by=person_of(request), wait=wait, now=now)
    if not isinstance(made, JointAct):
        return Response(_shown(record, now), status=202)
    told = {**_shown(record, now), "state": "joint", "asked_at": made.asked_at, "joint_act": made.pk}
    return Response(ClosingShape(told).data, status=202)


@endpoint("POST", gives=ClosingShape, scope="trust.write")
def cancel_closing(request: Request, subject: UUID) -> Response:
    """解約を取り下げる / Keep the contract after all. Consents that have ended are given anew."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    closings.cancel(subject=record, by=person_of(request), now=now)
    return Response(_shown(record, now))


def _shown(record: Subject, now: datetime) -> dict[str, Any]:
    found, held = erasures.open_one(record), holds.standing(record, now=now)
    found = found if found and found.closing else None
    told = {
        "state": found.state if found else "none", "asked_at": found.asked_at if found else None,
        "due_at": found.due_at if found else None, "joint_act": found.joint_act_id if found else None,
        "held": holds.reason_told(held) if held else None,
        "disclosure": reverse("disclosure", kwargs={"subject": record.pk}),
        "portability": reverse("portability", kwargs={"subject": record.pk}),
    }  # fmt: skip
    return dict(ClosingShape(told).data)


urlpatterns = [
    path("records/<uuid:subject>/closing", show_closing, name="closing"),
    path("records/<uuid:subject>/closing/ask", ask_closing, name="closing-ask"),
    path("records/<uuid:subject>/closing/cancel", cancel_closing, name="closing-cancel"),
]
