"""Which organisations know a person by which number: her family sees it, ends it, makes a code. Part of /api/trust."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent.refusal import Absent
from integrations import linking
from integrations.models import LocalNumber
from phr.api.frame import endpoint, person_of, record_of, require_fresh


class NumberShape(serializers.Serializer[Any]):
    """One link. `ground`: how it came about."""

    id = serializers.IntegerField()
    organization = serializers.CharField()
    value = serializers.CharField()
    since = serializers.DateTimeField()
    ground = serializers.ChoiceField(choices=LocalNumber.Ground.values)


class NumbersShape(serializers.Serializer[Any]):
    numbers = NumberShape(many=True)


class CodeShape(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="一度だけ使える / good once")
    until = serializers.DateTimeField()


@endpoint("GET", gives=NumbersShape)
def list_numbers(request: Request, subject: UUID) -> Response:
    """The numbers that name this person at organisations. While her place is hidden, only she herself is told any."""
    now = timezone.now()
    record_of(request, subject, now=now)
    found = [
        {"id": row.pk, "organization": row.organization.name, "value": value, "since": row.since, "ground": row.ground}
        for row, value in linking.numbers_of(subject=subject, by=person_of(request), now=now)
    ]
    return Response(NumbersShape({"numbers": found}).data)


@endpoint("POST", scope="trust.write", status=204)
def end_number(request: Request, subject: UUID, number: int) -> Response:
    """End one link: nothing further comes by it."""
    now = timezone.now()
    record_of(request, subject, now=now)
    if not LocalNumber.objects.filter(pk=number, subject=subject).exists():
        raise Absent
    linking.unlink(number=number, by=person_of(request), now=now)
    return Response(status=204)


@endpoint("POST", gives=CodeShape, scope="trust.write", status=201)
def make_link_code(request: Request, subject: UUID) -> Response:
    """A code to show at a desk, good once and for half an hour. Who asks has proved lately who she is."""
    now = timezone.now()
    record_of(request, subject, now=now)
    require_fresh(request, now=now)
    code, kept = linking.make_code(subject=subject, by=person_of(request), now=now)
    return Response(CodeShape({"code": code, "until": kept.until}).data, status=201)


urlpatterns = [
    path("records/<uuid:subject>/numbers", list_numbers, name="family-numbers"),
    path("records/<uuid:subject>/numbers/<int:number>/end", end_number, name="family-number-end"),
    path("records/<uuid:subject>/link-code", make_link_code, name="family-link-code"),
]
