"""What the trust told somebody: read it, take note of it."""

from __future__ import annotations

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import notices
from consent.asking import Caller, Capacity
from consent.models import Notice
from consent.refusal import Absent
from phr.api.frame import endpoint, person_of

MOST = 200


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
    rows = notices.inbox(person_of(request), now=timezone.now())
    about = getattr(request.auth, "subject", None)
    return Response([NoticeShape(row).data for row in rows if about is None or row.subject_id in (None, about)])


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
    if id not in {row.pk for row in notices.inbox(person, now=now)}:
        raise Absent
    notices.acknowledge(Notice.objects.filter(pk=id, person=person), now=now)
    return Response(status=204)


def _office(request: Request) -> int | None:
    """The organisation whose system asks; None: a person does."""
    caller = request.auth
    return caller.organization if isinstance(caller, Caller) and caller.capacity is Capacity.SYSTEM else None


urlpatterns = [
    path("notices", list_notices, name="notices"),
    path("notices/<int:id>/acknowledge", acknowledge_notice, name="notice-acknowledge"),
]
