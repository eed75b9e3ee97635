"""Incidents, at the trust's own desk: report, who is concerned, tell persons and commission, close (IT-32, IT-33)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import incidents
from consent.audit import Event
from consent.models import Incident, Organization, Recipient
from consent.refusal import Absent, Refusal
from phr.api.fields import Categories, number, text
from phr.api.frame import endpoint, read_at_desk, staff_of

OPERATOR = Organization.Kind.OPERATOR


class IncidentShape(serializers.Serializer[Incident]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    recipient = serializers.IntegerField(source="recipient_id", allow_null=True)
    happened_from = serializers.DateTimeField()
    happened_to = serializers.DateTimeField()
    categories = Categories()
    summary_ja = serializers.CharField()
    summary_en = serializers.CharField()
    found_at = serializers.DateTimeField()
    preliminary_due_at = serializers.DateTimeField()
    final_due_at = serializers.DateTimeField()
    commission_told_at = serializers.DateTimeField(allow_null=True)
    persons_told_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)


class NewIncident(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(Incident.Kind.choices)
    recipient = number(required=False, allow_null=True, default=None)
    happened_from = serializers.DateTimeField()
    happened_to = serializers.DateTimeField()
    categories = Categories()
    summary_ja = text(1000)
    summary_en = text(1000)


class AffectedShape(serializers.Serializer[Any]):
    record = serializers.UUIDField(source="subject")
    provisions = serializers.ListField(child=serializers.UUIDField())


class Told(serializers.Serializer[Any]):
    records = serializers.IntegerField()


@endpoint("GET", gives=IncidentShape(many=True))
def list_incidents(request: Request) -> Response:
    """Newest first, 200."""
    staff_of(request, OPERATOR)
    return Response([IncidentShape(one).data for one in Incident.objects.order_by("-found_at", "pk")[:200]])


@endpoint("POST", takes=NewIncident, gives=IncidentShape, scope="trust.write", status=201)
def report_incident(request: Request, given: dict[str, Any]) -> Response:
    """Write one down; the clock of the law begins."""
    staff = staff_of(request, OPERATOR)
    named = given.pop("recipient")
    recipient = None if named is None else Recipient.objects.filter(pk=named).first()
    if named is not None and recipient is None:
        raise Refusal("提供先がありません / no such recipient", place="recipient")
    made = incidents.report(recipient=recipient, by=staff, now=timezone.now(), **given)
    return Response(IncidentShape(made).data, status=201)


@endpoint("GET", gives=AffectedShape(many=True))
def incident_affected(request: Request, id: UUID) -> Response:
    """Whose records it may concern, and by which provisions."""
    staff = staff_of(request, OPERATOR)
    found = incidents.affected(_found(id))
    read_at_desk(request, Event.INCIDENT_READ, [one.subject for one in found], by=staff, now=timezone.now())
    return Response([AffectedShape(one).data for one in found])


@endpoint("POST", gives=Told, scope="trust.write")
def incident_tell(request: Request, id: UUID) -> Response:
    """Tell everybody concerned, once."""
    staff = staff_of(request, OPERATOR)
    return Response({"records": incidents.tell_persons(incident=_found(id), by=staff, now=timezone.now())})


@endpoint("POST", scope="trust.write", status=204)
def incident_commission(request: Request, id: UUID) -> Response:
    """Keep that the commission was told."""
    staff = staff_of(request, OPERATOR)
    incidents.tell_commission(incident=_found(id), by=staff, now=timezone.now())
    return Response(status=204)


@endpoint("POST", scope="trust.write", status=204)
def incident_close(request: Request, id: UUID) -> Response:
    """Close it, when persons and commission know."""
    staff = staff_of(request, OPERATOR)
    incidents.close(incident=_found(id), by=staff, now=timezone.now())
    return Response(status=204)


def _found(id: UUID) -> Incident:
    found = Incident.objects.filter(pk=id).select_related("recipient").first()
    if found is None:
        raise Absent
    return found


urlpatterns = [
    path("desk/incidents/all", list_incidents, name="desk-incidents-all"),
    path("desk/incidents", report_incident, name="desk-incidents"),
    path("desk/incidents/<uuid:id>/affected", incident_affected, name="desk-incident-affected"),
    path("desk/incidents/<uuid:id>/tell", incident_tell, name="desk-incident-tell"),
    path("desk/incidents/<uuid:id>/commission", incident_commission, name="desk-incident-commission"),
    path("desk/incidents/<uuid:id>/close", incident_close, name="desk-incident-close"),
]
