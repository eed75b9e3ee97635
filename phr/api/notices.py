"""What the trust told somebody: read it, take note of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import notices, telling
from consent.asking import Caller, Capacity
from consent.models import Notice, Person
from consent.refusal import Absent
from consent.telling import Reader
from phr.api.frame import endpoint, person_of

MOST = 200
PRIVATE = ("credential:", "password:", "account:", "sign-in:")  # how she signs in herself


class NoticeShape(serializers.Serializer[Notice]):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    record = serializers.UUIDField(source="subject_id", allow_null=True)
    at = serializers.DateTimeField()
    detail = serializers.JSONField()
    acknowledged_at = serializers.DateTimeField(allow_null=True)


@endpoint("GET", gives=NoticeShape(many=True))
def list_notices(request: Request) -> Response:
    """Newest first. What concerns a record one no longer stands to is not there. An organisation's system reads
    what its organisation was told: consents that ended, and the like.
    """
    if (office := _office(request)) is not None:
        told = Notice.objects.filter(organization=office).order_by("-at", "-pk")[:MOST]
        return Response(NoticeShape(told, many=True).data)
    now = timezone.now()
    rows = [row for row in notices.inbox(person_of(request), now=now) if _within(request, row)]
    person = person_of(request)
    return Response([{**NoticeShape(row).data, "detail": _detail(row, person, now)} for row in rows])


@endpoint("POST", scope="trust.write", status=204)
def acknowledge_notice(request: Request, id: int) -> Response:
    """Take note of one; when it was is kept."""
    now, office = timezone.now(), _office(request)
    if office is not None:
        rows = Notice.objects.filter(pk=id, organization=office)
        if not rows.exists():
            raise Absent
        notices.acknowledge(rows, now=now)
        return Response(status=204)
    person = person_of(request)
    if id not in {row.pk for row in notices.inbox(person, now=now) if _within(request, row)}:
        raise Absent
    notices.acknowledge(Notice.objects.filter(pk=id, person=person), now=now)
    return Response(status=204)


def _office(request: Request) -> int | None:
    """The organisation whose system asks; None: a person does."""
    caller = request.auth
    return caller.organization if isinstance(caller, Caller) and caller.capacity is Capacity.SYSTEM else None


def _within(request: Request, notice: Notice) -> bool:
    """A session reads everything; a token what is about its record, or about none. What is about her account is told
    to no token of an office: there she is staff."""
    caller = request.auth
    if not isinstance(caller, Caller):
        return True
    if caller.capacity is Capacity.STAFF:
        return notice.subject_id is None and not notice.kind.startswith(PRIVATE)
    if caller.capacity is Capacity.PROXY and caller.subject is None:
        return True  # her own app, bound to no record: the inbox keeps to whom she stands to
    return notice.subject_id in (None, caller.subject)


def _detail(notice: Notice, person: Person, now: datetime) -> dict[str, Any]:
    """What it says, as far as its reader may know (G-08)."""
    record = notice.subject
    if record is None or not record.location_hidden or record.pk == person.own_subject_id:
        return dict(notice.detail)
    reader = Reader.at(
        now, person=person.pk, capacity=Capacity.GUARDIAN, birth_on=record.birth_on, location_hidden=True
    )
    return telling.notice_detail(reader, notice.detail)


urlpatterns = [
    path("notices", list_notices, name="notices"),
    path("notices/<int:id>/acknowledge", acknowledge_notice, name="notice-acknowledge"),
]
