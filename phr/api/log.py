"""The person's log: who looked at her record, as what, for what, under which consent; its proofs; "was this right?"."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import complaints
from consent.audit import Event
from consent.log_view import Shown
from consent.models import Grant, Organization, Person
from consent.proofs import Proof, proof_of
from consent.refusal import Because, Refusal
from consent.scope import Category
from consent.signing import public_key
from phr.api.fields import Moment
from phr.api.frame import endpoint, person_of, record_of
from phr.caller import request_id
from phr.trust.log_pages import LogReading, Wanted, names_of

MOST = 200  # lines of one page
LINES = 50
OPEN = ("at", "event", "subject", "purpose")  # of a proof: what everybody who sees the line may open


class Query(serializers.Serializer[Any]):
    """What a list of lines may be narrowed to. Every value may be given several times."""

    since = Moment(required=False)
    until = Moment(required=False)
    event = serializers.ListField(child=serializers.CharField(max_length=32), required=False, max_length=20)
    role = serializers.ListField(child=serializers.CharField(max_length=10), required=False, max_length=10)
    purpose = serializers.ListField(child=serializers.CharField(max_length=16), required=False, max_length=20)
    organization = serializers.ListField(child=serializers.IntegerField(min_value=1), required=False, max_length=20)
    category = serializers.ListField(
        child=serializers.ChoiceField(choices=[str(c.name) for c in Category]), required=False, max_length=30
    )
    decision = serializers.ChoiceField(choices=["permit", "deny"], required=False)
    count = serializers.IntegerField(min_value=1, max_value=MOST, required=False, default=LINES)
    cursor = serializers.CharField(max_length=120, required=False)


class Office(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()


class Consent(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    version = serializers.IntegerField()


class LineShape(serializers.Serializer[Any]):
    """One line. `role`: you, self, guardian (another one), proxy, staff, researcher, system, or trust."""

    id = serializers.CharField()
    at = serializers.DateTimeField()
    event = serializers.CharField()
    role = serializers.CharField()
    name = serializers.CharField(allow_null=True)
    organization = Office(allow_null=True)
    app = serializers.CharField(allow_null=True)
    purpose = serializers.CharField()
    decision = serializers.CharField()
    types = serializers.ListField(child=serializers.CharField())
    categories = serializers.ListField(child=serializers.CharField())
    resources = serializers.IntegerField(allow_null=True)
    consents = Consent(many=True)
    rules = serializers.ListField(child=serializers.CharField())
    emergency = serializers.BooleanField()
    readable = serializers.BooleanField()
    times = serializers.IntegerField()
    since = serializers.DateTimeField(allow_null=True)


class LogShape(serializers.Serializer[Any]):
    lines = LineShape(many=True)
    next = serializers.CharField(allow_null=True)


class QuestionShape(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=2000)


@extend_schema_serializer(component_name="Question")
class CaseShape(serializers.Serializer[Any]):
    case = serializers.UUIDField()


class HeadShape(serializers.Serializer[Any]):
    sequence = serializers.IntegerField()
    size = serializers.IntegerField()
    root = serializers.CharField()
    previous_root = serializers.CharField()
    sealed_at = serializers.CharField()


class ProofShape(serializers.Serializer[Any]):
    leaf = serializers.CharField()
    place = serializers.IntegerField()
    path = serializers.ListField(child=serializers.CharField())
    head = HeadShape()
    signature = serializers.CharField()
    key_id = serializers.CharField()
    public_key = serializers.CharField(allow_null=True)
    commitments = serializers.DictField(child=serializers.CharField())
    openings = serializers.DictField()


@extend_schema(parameters=[OpenApiParameter(name, many=name in {"event", "role", "purpose", "organization", "category"})
                           for name in Query().fields])  # fmt: skip
@endpoint("GET", gives=LogShape)
def list_log(request: Request, subject: UUID) -> Response:
    """Newest first; one's own lines of a kind that follow one another are one. `next`: the cursor of the next page."""
    reading, asked = _reading(request, subject), _asked(request)
    wanted = Wanted(
        since=asked.get("since"), until=asked.get("until"), events=_events(asked.get("event", ())),
        capacities=tuple(asked.get("role", ())), purposes=tuple(asked.get("purpose", ())),
        organizations=tuple(asked.get("organization", ())), categories=tuple(asked.get("category", ())),
        decision=asked.get("decision", ""),
    )  # fmt: skip
    page = reading.page(wanted, count=asked["count"], cursor=asked.get("cursor"))
    return Response({"lines": _lines(page.lines), "next": page.cursor})


@endpoint("GET", gives=LineShape)
def show_log_line(request: Request, subject: UUID, id: str) -> Response:
    """One line. One that is not there, and one that is not told to the reader, look the same."""
    return Response(_lines([_reading(request, subject).line(id)[1]])[0])


@endpoint("GET", gives=ProofShape)
def prove_log_line(request: Request, subject: UUID, id: str) -> Response:
    """The proof that the line stands in the sealed log: consent/decisions/how-a-line-is-proved.md."""
    row, line = _reading(request, subject).line(id)
    shown = [*OPEN, *(name for name in ("organization", "client", "person") if getattr(line, name))]
    if line.own:
        shown.append("capacity")
    proof = proof_of(row.pk, shown=shown)
    if proof is None:
        raise Refusal(
            "まだ封印されていません。1分後にもう一度 / not sealed yet: ask again in a minute", because=Because.CONFLICT
        )
    return Response(_proof(proof))


@endpoint("POST", takes=QuestionShape, gives=CaseShape, scope="trust.write", status=201)
def question_log_line(request: Request, subject: UUID, id: str, given: Mapping[str, Any]) -> Response:
    """ "Was this right?": opens a case about this line at the complaint desk."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    row, _ = _reading(request, subject).line(id)
    text = f"[log {id} {row.event} {row.at.isoformat()}] {given['text']}"
    case = complaints.receive(subject=record, kind="access", text=text, by=person_of(request), now=now)
    return Response({"case": case.pk}, status=201)


def _reading(request: Request, subject: UUID) -> LogReading:
    now = timezone.now()
    record, capacity = record_of(request, subject, now=now, line=False)
    return LogReading.of_person(
        record,
        person=person_of(request).pk,
        capacity=capacity,
        now=now,
        request=request_id(request._request),  # noqa: SLF001
    )


def _asked(request: Request) -> dict[str, Any]:
    many = {"event", "role", "purpose", "organization", "category"}
    given = request.query_params
    if unknown := set(given) - set(Query().fields):
        raise Refusal(f"知られていない項目です / unknown: {', '.join(sorted(unknown))[:100]}", place="query")
    asked = Query(data={name: given.getlist(name) if name in many else given[name] for name in given})
    asked.is_valid(raise_exception=True)
    return dict(asked.validated_data)


def _events(asked: Any) -> tuple[str, ...]:
    """Events by name ("record:read"), or by what they are about ("record"). Raises Refusal for one that is none."""
    found = tuple(e.value for e in Event for one in asked if one in (e.value, e.value.partition(":")[0]))
    if asked and not found:
        raise Refusal("知られていない出来事です / no such event", place="event")
    return found


def _lines(lines: list[Shown]) -> list[dict[str, Any]]:
    organizations, persons, grants = names_of(lines)
    offices = Organization.objects.in_bulk(organizations)
    people = dict(Person.objects.filter(pk__in=persons).values_list("pk", "name"))
    versions = dict(Grant.objects.filter(pk__in=grants).values_list("pk", "version"))
    return [_told(line, offices, people, versions) for line in lines]


def _told(
    line: Shown, offices: Mapping[int, Organization], people: Mapping[int, str], versions: Mapping[int, int]
) -> dict[str, Any]:
    office = offices.get(line.organization or 0)
    told = {
        "id": line.id, "at": line.at, "event": line.event, "role": line.who, "name": people.get(line.person or 0),
        "organization": office, "app": line.client or None, "purpose": line.purpose, "decision": line.decision,
        "types": line.types, "categories": line.categories, "resources": line.count,
        "consents": [{"id": id, "version": versions[id]} for id in line.consents if id in versions],
        "rules": line.rules, "emergency": line.emergency, "readable": line.readable, "times": line.times,
        "since": line.since,
    }  # fmt: skip
    return dict(LineShape(told).data)


def _proof(proof: Proof) -> dict[str, Any]:
    ours = public_key(settings.PHR_AUDIT_KEY, proof.key_id)
    return {
        "leaf": proof.leaf.hex(), "place": proof.place, "path": [step.hex() for step in proof.path],
        "head": proof.head, "signature": base64.b64encode(proof.signature).decode(), "key_id": proof.key_id,
        "public_key": None if ours is None else base64.b64encode(ours).decode(),
        "commitments": proof.commitments, "openings": proof.openings,
    }  # fmt: skip


urlpatterns = [
    path("records/<uuid:subject>/log", list_log, name="log"),
    path("records/<uuid:subject>/log/<str:id>", show_log_line, name="log-line"),
    path("records/<uuid:subject>/log/<str:id>/proof", prove_log_line, name="log-proof"),
    path("records/<uuid:subject>/log/<str:id>/question", question_log_line, name="log-question"),
]
