"""Complaints: a person writes about a record and reads the answer; the trust's own desk looks into them (IT-16)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import complaints, kin
from consent.audit import Event
from consent.models import Complaint, Organization, Provision
from consent.refusal import Absent
from phr.api.fields import text
from phr.api.frame import endpoint, person_of, read_at_desk, record_of, staff_of
from phr.api.programs import Period

OPERATOR = Organization.Kind.OPERATOR


class ComplaintShape(serializers.Serializer[Complaint]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    state = serializers.CharField()
    provision = serializers.UUIDField(source="provision_id", allow_null=True)
    text = serializers.SerializerMethodField()
    answer = serializers.SerializerMethodField()
    received_at = serializers.DateTimeField()
    review_due_at = serializers.DateTimeField()
    answer_due_at = serializers.DateTimeField()
    reviewed_at = serializers.DateTimeField(allow_null=True)
    answered_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)

    def get_text(self, complaint: Complaint) -> str | None:
        return complaints.told(complaint, "text")

    def get_answer(self, complaint: Complaint) -> str | None:
        return complaints.told(complaint, "answer")


class NewComplaint(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(sorted(complaints.KINDS))
    text = text(complaints.LONGEST)
    provision = serializers.UUIDField(required=False, allow_null=True, default=None)


class Words(serializers.Serializer[Any]):
    text = text(complaints.LONGEST)


class DeskReport(serializers.Serializer[Any]):
    received = serializers.IntegerField()
    by_state = serializers.DictField(child=serializers.IntegerField())
    by_kind = serializers.DictField(child=serializers.IntegerField())
    reviewed_late = serializers.IntegerField()
    answered_late = serializers.IntegerField()
    open_overdue = serializers.IntegerField()
    median_days = serializers.FloatField(allow_null=True)


@endpoint("GET", gives=ComplaintShape(many=True))
def list_complaints(request: Request, subject: UUID) -> Response:
    """One's own, newest first."""
    record, _ = record_of(request, subject, now=timezone.now())
    return Response([ComplaintShape(one).data for one in complaints.of(record, person_of(request))])


@endpoint("POST", takes=NewComplaint, gives=ComplaintShape, scope="trust.write", status=201)
def complain(request: Request, subject: UUID, given: dict[str, Any]) -> Response:
    """Write to the desk about this record."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    named = given["provision"]
    about = None if named is None else Provision.objects.filter(pk=named, subject=record).first()
    if named is not None and about is None:
        raise Absent(place="provision")
    made = complaints.receive(
        subject=record, kind=given["kind"], text=given["text"], provision=about, by=person_of(request), now=now
    )
    return Response(ComplaintShape(made).data, status=201)


@endpoint("POST", gives=ComplaintShape, scope="trust.write")
def content_complaint(request: Request, subject: UUID, id: UUID) -> Response:
    """The answer will do: close it."""
    now = timezone.now()
    mine = _mine(request, subject, id)
    return Response(ComplaintShape(complaints.close(complaint=mine, by=person_of(request), now=now)).data)


@endpoint("POST", gives=ComplaintShape, scope="trust.write")
def reopen_complaint(request: Request, subject: UUID, id: UUID) -> Response:
    """The answer will not do: it is looked into again."""
    now = timezone.now()
    mine = _mine(request, subject, id)
    return Response(ComplaintShape(complaints.reopen(complaint=mine, by=person_of(request), now=now)).data)


@endpoint("GET", gives=ComplaintShape(many=True))
def desk_complaints(request: Request) -> Response:
    """What is open, the most urgent first."""
    by = staff_of(request, OPERATOR)
    found = Complaint.objects.exclude(state=Complaint.State.CLOSED).exclude(subject__in=kin.records_of(by))
    found = found.exclude(person=by).order_by("answer_due_at", "pk")[:200]
    read_at_desk(request, Event.COMPLAINT_READ, [one.subject_id for one in found], by=by, now=timezone.now())
    return Response([ComplaintShape(one).data for one in found])


@endpoint("POST", gives=ComplaintShape, scope="trust.write")
def take_complaint(request: Request, id: UUID) -> Response:
    """Look into it."""
    staff = staff_of(request, OPERATOR)
    return Response(ComplaintShape(complaints.take(complaint=_any(id), by=staff, now=timezone.now())).data)


@endpoint("POST", takes=Words, gives=ComplaintShape, scope="trust.write")
def answer_complaint(request: Request, id: UUID, given: dict[str, str]) -> Response:
    """Answer it; who complained is told."""
    staff = staff_of(request, OPERATOR)
    told = complaints.answer(complaint=_any(id), text=given["text"], by=staff, now=timezone.now())
    return Response(ComplaintShape(told).data)


@endpoint("POST", takes=Period, gives=DeskReport)
def complaints_report(request: Request, given: dict[str, Any]) -> Response:
    """How the desk kept its deadlines within a period."""
    staff_of(request, OPERATOR)
    told = complaints.report(since=given["since"], until=given["until"], now=timezone.now())
    return Response(DeskReport(told).data)


def _mine(request: Request, subject: UUID, id: UUID) -> Complaint:
    record, _ = record_of(request, subject, now=timezone.now())
    found = Complaint.objects.filter(pk=id, subject=record, person=person_of(request)).first()
    if found is None:
        raise Absent
    return found


def _any(id: UUID) -> Complaint:
    found = Complaint.objects.filter(pk=id).first()
    if found is None:
        raise Absent
    return found


urlpatterns = [
    path("records/<uuid:subject>/complaints", list_complaints, name="complaints"),
    path("records/<uuid:subject>/complain", complain, name="complain"),
    path("records/<uuid:subject>/complaints/<uuid:id>/close", content_complaint, name="complaint-close"),
    path("records/<uuid:subject>/complaints/<uuid:id>/reopen", reopen_complaint, name="complaint-reopen"),
    path("desk/complaints", desk_complaints, name="desk-complaints"),
    path("desk/complaints/report", complaints_report, name="desk-complaints-report"),
    path("desk/complaints/<uuid:id>/take", take_complaint, name="desk-complaint-take"),
    path("desk/complaints/<uuid:id>/answer", answer_complaint, name="desk-complaint-answer"),
]
