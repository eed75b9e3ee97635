"""Emergency access: open, the whole record, end; the privacy officers' queue; what the family is shown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import glass
from consent.audit import Event
from consent.decide import Caller
from consent.glass import Why
from consent.models import EmergencyAccess, Organization, Person
from consent.refusal import Absent
from consent.rules import GLASS_PURPOSES
from phr.api.fields import Day
from phr.api.frame import endpoint, read_at_desk, require_fresh, staff_of
from phr.api.readers import reader_of
from phr.smart import emergency, step_up
from phr.smart.launches import Proof
from phr.trust import finding

CLINICIANS = (Organization.Kind.CLINIC, Organization.Kind.HOSPITAL, Organization.Kind.AMBULANCE)
OFFICERS = (Organization.Kind.OPERATOR, Organization.Kind.MUNICIPALITY)


class Number(serializers.Serializer[Any]):
    system = serializers.CharField(max_length=255)
    value = serializers.CharField(max_length=255)


class Name(serializers.Serializer[Any]):
    family = serializers.CharField(max_length=100)
    given = serializers.CharField(max_length=100)
    birth_date = Day()


class WhyBody(serializers.Serializer[Any]):
    reason = serializers.ChoiceField(choices=EmergencyAccess.Reason.choices)
    text = serializers.CharField(max_length=glass.TEXT[1], min_length=glass.TEXT[0])


class OpenBody(WhyBody):
    """Whom: `patient` (an id), or a number, or a name with a birth date. Exactly one of the three."""

    patient = serializers.UUIDField(required=False)
    identifier = Number(required=False)
    name = Name(required=False)
    purpose = serializers.ChoiceField(choices=sorted(GLASS_PURPOSES), default="BTG")
    minutes = serializers.IntegerField(min_value=30, max_value=60, default=30)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if sum(key in attrs for key in ("patient", "identifier", "name")) != 1:
            raise serializers.ValidationError("だれの記録かを一つの方法で / say whose record in exactly one way")
        return attrs


class OpenedShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    patient = serializers.UUIDField()
    step = serializers.IntegerField()
    ends_at = serializers.DateTimeField()
    access_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()
    scope = serializers.CharField()


class ReviewBody(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField(choices=EmergencyAccess.Outcome.choices)


class AccessShape(serializers.Serializer[EmergencyAccess]):
    """What the family is shown: which house, when, why by its code, and what looking at it found."""

    id = serializers.IntegerField()
    organization = serializers.CharField(source="organization.name")
    purpose = serializers.CharField()
    step = serializers.IntegerField()
    reason = serializers.CharField()
    full_reason = serializers.CharField()
    opened_at = serializers.DateTimeField()
    full_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    review_due_at = serializers.DateTimeField()
    reviewed_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField()


class WaitingShape(AccessShape):
    """What a privacy officer is shown besides: who, and the reasons in words."""

    clinician = serializers.CharField(source="person.name")
    overdue = serializers.SerializerMethodField()
    text = serializers.SerializerMethodField()
    full_text = serializers.SerializerMethodField()

    def get_overdue(self, access: EmergencyAccess) -> bool:
        now: datetime = self.context["now"]
        return access.review_due_at <= now

    def get_text(self, access: EmergencyAccess) -> str:
        return glass.reason_of(access)[0]

    def get_full_text(self, access: EmergencyAccess) -> str:
        return glass.reason_of(access)[1]


@endpoint("POST", takes=OpenBody, gives=OpenedShape, scope="trust.write", status=201)
def open_emergency(request: Request, given: dict[str, Any]) -> Response:
    """救急のために開く / Open the emergency set of one record. Proving who one is lately comes first."""
    now = timezone.now()
    person = staff_of(request, *CLINICIANS)
    require_fresh(request, now=now)
    subject = _meant(given, person, now)
    if subject is None:
        glass.refused(by=person, because="absent", now=now)
        raise Absent
    access = glass.break_glass(
        subject=subject, purpose=given["purpose"], why=_why(given), lasts=timedelta(minutes=given["minutes"]),
        by=person, now=now,
    )  # fmt: skip
    return Response(_opened(request, access, now), status=201)


@endpoint("POST", takes=WhyBody, gives=OpenedShape, scope="trust.write", status=201)
def open_whole_record(request: Request, id: int, given: dict[str, Any]) -> Response:
    """記録の全体を開く / The second step: the whole record, for a reason of its own, until the same end."""
    now = timezone.now()
    person = staff_of(request, *CLINICIANS)
    require_fresh(request, now=now)
    access = glass.widen(access=_row(id), why=_why(given), by=person, now=now)
    return Response(_opened(request, access, now), status=201)


@endpoint("POST", scope="trust.write", status=204)
def end_emergency(request: Request, id: int) -> Response:
    """終える / End it before its time; its tokens end with it."""
    person = staff_of(request, *CLINICIANS)
    emergency.end(access=_row(id), by=person, now=timezone.now())
    return Response(status=204)


@endpoint("GET", gives=WaitingShape(many=True))
def list_emergencies_to_review(request: Request) -> Response:
    """審査を待つもの / What waits for review, the most urgent first, with what is overdue."""
    by, now = staff_of(request, *OFFICERS), timezone.now()
    waiting = list(glass.to_review(by=by)[:200])
    read_at_desk(request, Event.GLASS_READ, [access.subject_id for access in waiting], by=by, now=now)
    return Response(WaitingShape(waiting, many=True, context={"now": now}).data)


@endpoint("POST", takes=ReviewBody, gives=AccessShape, scope="trust.write")
def review_emergency(request: Request, id: int, given: dict[str, Any]) -> Response:
    """審査の結果 / What looking at it found. The person and her guardians are told."""
    person = staff_of(request, *OFFICERS)
    access = glass.review(access=_row(id), outcome=given["outcome"], by=person, now=timezone.now())
    return Response(AccessShape(access).data)


@endpoint("GET", gives=AccessShape(many=True))
def list_emergencies(request: Request, subject: UUID) -> Response:
    """救急で開かれたこと / Every emergency access to this record, newest first, with its outcome."""
    record, reader = reader_of(request, subject, now=timezone.now())
    rows = AccessShape(glass.of_record(record)[:200], many=True).data
    if reader.place_hidden:  # G-08: where she was taken to
        rows = [{**row, "organization": ""} for row in rows]
    return Response(rows)


def _meant(given: dict[str, Any], person: Person, now: datetime) -> UUID | None:
    office = person.organization
    assert office is not None  # staff_of
    if "patient" in given:
        return UUID(str(given["patient"]))
    if number := given.get("identifier"):
        return finding.by_identifier(number["system"], number["value"], office=office, now=now)
    name = given["name"]
    return finding.by_name(name["family"], name["given"], name["birth_date"], office=office, now=now)


def _why(given: dict[str, Any]) -> Why:
    return Why(given["reason"], given["text"])


def _row(id: int) -> EmergencyAccess:
    found = EmergencyAccess.objects.filter(pk=id).first()
    if found is None:
        raise Absent
    return found


def _opened(request: Request, access: EmergencyAccess, now: datetime) -> dict[str, Any]:
    caller = request.auth
    if isinstance(caller, Caller):
        client, proof = caller.client, Proof(caller.acr, caller.authenticated_at)
    else:
        client, proof = "", Proof(*step_up.of_session(request._request))  # noqa: SLF001 (the framework's own name for it)
    token, scope = emergency.issue(access=access, client=client, proof=proof, now=now)
    return {
        "id": access.pk, "patient": str(access.subject_id), "step": access.step, "ends_at": access.ends_at,
        "access_token": token, "token_type": "Bearer", "scope": scope,
        "expires_in": int((access.ends_at - now).total_seconds()),
    }  # fmt: skip


urlpatterns = [
    path("desk/emergencies", open_emergency, name="emergency-open"),
    path("desk/emergencies/<int:id>/whole", open_whole_record, name="emergency-whole"),
    path("desk/emergencies/<int:id>/end", end_emergency, name="emergency-end"),
    path("desk/emergencies/to-review", list_emergencies_to_review, name="emergencies-to-review"),
    path("desk/emergencies/<int:id>/review", review_emergency, name="emergency-review"),
    path("records/<uuid:subject>/emergencies", list_emergencies, name="emergencies"),
]
