"""The registry of recipients: read by everybody who is signed in, kept by the trust's own desk (IT-20 to IT-25)."""

from __future__ import annotations

from typing import Any

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import classes, overdue, recipients
from consent.models import Organization, Person, Recipient
from consent.refusal import Absent, Refusal
from phr.api.fields import Day, code, number, text
from phr.api.frame import endpoint, require_fresh, staff_of

OPERATOR = Organization.Kind.OPERATOR


class RecipientShape(serializers.Serializer[Recipient]):
    """What a person may know of who receives; whether it is in order at this moment."""

    id = serializers.IntegerField()
    organization = serializers.IntegerField(source="organization_id")
    name = serializers.CharField(source="legal_name")
    legal_number = serializers.CharField()
    address = serializers.CharField()
    representative = serializers.CharField()
    kind = serializers.CharField(source="organization.kind")
    class_from = serializers.DateTimeField(source="organization.class_from", allow_null=True)
    certification = serializers.CharField()
    certified_until = serializers.DateTimeField()
    contract_ends_on = Day()
    purposes = serializers.ListField(child=serializers.CharField())
    profiling = serializers.BooleanField()
    processor_of = serializers.IntegerField(source="processor_of_id", allow_null=True)
    state = serializers.CharField()
    fault = serializers.SerializerMethodField()

    def get_fault(self, recipient: Recipient) -> str | None:
        fault = recipients.party(recipient).fault(timezone.now())
        return None if fault is None else fault.value


class NewRecipient(serializers.Serializer[Any]):
    organization = number()
    legal_name = text()
    legal_number = code(13)
    address = text()
    representative = text(100)
    contract_ref = code()
    contract_ends_on = Day()
    certification = text(100)
    certified_until = serializers.DateTimeField()
    purposes = serializers.ListField(child=code(16), max_length=20)
    profiling = serializers.BooleanField(default=False)
    processor_of = number(required=False, allow_null=True, default=None)
    report_months = serializers.IntegerField(min_value=1, max_value=24, default=12)


class Renewed(serializers.Serializer[Any]):
    contract_ends_on = Day(required=False)
    certified_until = serializers.DateTimeField(required=False)


class Why(serializers.Serializer[Any]):
    reason = code()


class Purposes(serializers.Serializer[Any]):
    purposes = serializers.ListField(child=code(16), max_length=20)


class Onward(serializers.Serializer[Any]):
    taker = number()
    basis = text()
    valid_until = serializers.DateTimeField()


class Entered(serializers.Serializer[Any]):
    class_from = serializers.DateTimeField()


class SweptShape(serializers.Serializer[Any]):
    ended = serializers.IntegerField()
    reports = serializers.IntegerField()
    suspended = serializers.IntegerField()


@endpoint("GET", gives=RecipientShape(many=True))
def list_recipients(request: Request) -> Response:
    """Everybody who may receive, or might have."""
    found = Recipient.objects.select_related("organization").order_by("pk")
    return Response([RecipientShape(one).data for one in found])


@endpoint("POST", takes=NewRecipient, gives=RecipientShape, scope="trust.write", status=201)
def register_recipient(request: Request, given: dict[str, Any]) -> Response:
    """Enter an organisation into the registry."""
    staff = _proved(request)
    organization = Organization.objects.filter(pk=given.pop("organization")).first()
    if organization is None:
        raise Refusal("組織がありません / no such organization", place="organization")
    works_for = given.pop("processor_of")
    if works_for is not None:
        works_for = Recipient.objects.filter(pk=works_for).first()
        if works_for is None:
            raise Refusal("委託元がありません / no such recipient", place="processor_of")
    made = recipients.register(organization=organization, processor_of=works_for, by=staff, now=timezone.now(), **given)
    return _told(made, 201)


@endpoint("POST", takes=Renewed, gives=RecipientShape, scope="trust.write")
def renew_recipient(request: Request, id: int, given: dict[str, Any]) -> Response:
    """A renewed contract or certificate: permits stand again from the commit."""
    staff = _proved(request)
    return _told(recipients.renew(recipient=_found(id), by=staff, now=timezone.now(), **given))


@endpoint("POST", takes=Purposes, gives=RecipientShape, scope="trust.write")
def recipient_purposes(request: Request, id: int, given: dict[str, Any]) -> Response:
    """What it may receive for."""
    staff = _proved(request)
    found = _found(id)
    return _told(recipients.set_purposes(recipient=found, purposes=given["purposes"], by=staff, now=timezone.now()))


@endpoint("POST", takes=Why, gives=RecipientShape, scope="trust.write")
def suspend_recipient(request: Request, id: int, given: dict[str, Any]) -> Response:
    """Stop it at once."""
    staff = _desk(request)
    return _told(recipients.suspend(recipient=_found(id), reason=given["reason"], by=staff, now=timezone.now()))


@endpoint("POST", gives=RecipientShape, scope="trust.write")
def resume_recipient(request: Request, id: int) -> Response:
    """Let a suspended one receive again."""
    staff = _proved(request)
    return _told(recipients.resume(recipient=_found(id), by=staff, now=timezone.now()))


@endpoint("POST", gives=RecipientShape, scope="trust.write")
def end_recipient(request: Request, id: int) -> Response:
    """End its contract for good."""
    staff = _desk(request)
    return _told(recipients.end(recipient=_found(id), by=staff, now=timezone.now()))


@endpoint("POST", gives=Entered, scope="trust.write")
def enter_class(request: Request, id: int) -> Response:
    """Let it enter the class of its kind: whoever permitted the class is told, and it waits a week (IT-03)."""
    staff = _proved(request)
    return Response({"class_from": classes.enter(organization=_found(id).organization, by=staff, now=timezone.now())})


@endpoint("POST", gives=Entered, scope="trust.write")
def organization_class(request: Request, id: int) -> Response:
    """The same for an organisation without a contract with the trust: a new clinic, which receives for care alone."""
    staff = _proved(request)
    organization = Organization.objects.filter(pk=id).first()
    if organization is None:
        raise Absent
    return Response({"class_from": classes.enter(organization=organization, by=staff, now=timezone.now())})


@endpoint("POST", takes=Onward, scope="trust.write", status=204)
def list_onward(request: Request, id: int, given: dict[str, Any]) -> Response:
    """List a case in which it may hand on (IT-21)."""
    staff = _proved(request)
    giver, taker = _found(id), Recipient.objects.filter(pk=given.pop("taker")).first()
    if taker is None:
        raise Refusal("相手がありません / no such recipient", place="taker")
    recipients.list_onward(giver=giver, taker=taker, by=staff, now=timezone.now(), **given)
    return Response(status=204)


@endpoint("POST", gives=SweptShape, scope="trust.write")
def sweep_overdue(request: Request) -> Response:
    """The periodic look, now: end what stands on nothing, suspend who is late (IT-22)."""
    _desk(request)
    swept = overdue.sweep(now=timezone.now())
    return Response({"ended": swept.ended, "reports": swept.reports, "suspended": swept.suspended})


def _desk(request: Request) -> Person:
    return staff_of(request, OPERATOR)


def _proved(request: Request) -> Person:
    """For what lets data flow. To suspend or end needs no fresh proof."""
    by = _desk(request)
    require_fresh(request, now=timezone.now())
    return by


def _found(id: int) -> Recipient:
    found = Recipient.objects.filter(pk=id).select_related("organization").first()
    if found is None:
        raise Absent
    return found


def _told(recipient: Recipient, status: int = 200) -> Response:
    return Response(RecipientShape(recipient).data, status=status)


_ONE = "desk/recipients/<int:id>"
urlpatterns = [
    path("recipients", list_recipients, name="recipients"),
    path("desk/recipients", register_recipient, name="desk-recipients"),
    path("desk/overdue", sweep_overdue, name="desk-overdue"),
    path(f"{_ONE}/renew", renew_recipient, name="desk-recipient-renew"),
    path(f"{_ONE}/purposes", recipient_purposes, name="desk-recipient-purposes"),
    path(f"{_ONE}/suspend", suspend_recipient, name="desk-recipient-suspend"),
    path(f"{_ONE}/resume", resume_recipient, name="desk-recipient-resume"),
    path(f"{_ONE}/end", end_recipient, name="desk-recipient-end"),
    path(f"{_ONE}/enter-class", enter_class, name="desk-recipient-class"),
    path("desk/organizations/<int:id>/enter-class", organization_class, name="desk-organization-class"),
    path(f"{_ONE}/onward", list_onward, name="desk-recipient-onward"),
]
