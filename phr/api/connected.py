"""The apps a person connected, for the screens of an app: list them, stop one, stop all."""

from __future__ import annotations

from uuid import UUID

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent.asking import Caller
from consent.refusal import Because, Refusal
from phr.api.frame import endpoint, person_of
from phr.smart import connected
from phr.smart.connected import Connected


class AppShape(serializers.Serializer[Connected]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    client_id = serializers.CharField(source="client")
    record = serializers.UUIDField(source="subject", allow_null=True)
    capacity = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    since = serializers.DateTimeField()
    last_used = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class StoppedShape(serializers.Serializer[dict[str, int]]):
    stopped = serializers.IntegerField()


def _about(request: Request) -> UUID | None:
    """A token is about one record: it sees and stops only what is at that one; a session, all. Raises Refusal."""
    caller = request.auth
    if not isinstance(caller, Caller):
        return None
    if caller.subject is None:  # of an office: her own apps are none of its business
        raise Refusal("本人の記録のトークンだけが読めます / only a token for a record", because=Because.FORBIDDEN)
    return caller.subject


@endpoint("GET", gives=AppShape(many=True))
def list_apps(request: Request) -> Response:
    """What may act for the person now, the last used first."""
    rows = connected.connected(person_of(request), about=_about(request), now=timezone.now())
    return Response([AppShape(row).data for row in rows])


@endpoint("POST", scope="trust.write", status=204)
def stop_app(request: Request, id: UUID) -> Response:
    """Stop one app at one record. Its next request is refused."""
    connected.stop(id, by=person_of(request), about=_about(request), now=timezone.now())
    return Response(status=204)


@endpoint("POST", scope="trust.write", gives=StoppedShape)
def stop_apps(request: Request) -> Response:
    """Stop every app at once; the one that asks is among them."""
    return Response({"stopped": connected.stop_all(by=person_of(request), about=_about(request), now=timezone.now())})


urlpatterns = [
    path("apps", list_apps, name="apps-list"),
    path("apps/stop", stop_apps, name="apps-stop-all"),
    path("apps/<uuid:id>/stop", stop_app, name="apps-stop"),
]
