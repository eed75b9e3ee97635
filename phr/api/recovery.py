"""The municipality's counter: open a password reset for somebody who came in person."""

from __future__ import annotations

from typing import Any

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent.models import Organization, Person
from consent.refusal import Absent
from phr.api.frame import endpoint, require_fresh, staff_of
from phr.smart import recovery


class ResetAsked(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=64)
    factors_lost = serializers.BooleanField(
        default=False,
        help_text="パスキー・認証アプリ・カードも失った / second factors are lost too",
    )


class ResetOpened(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="一度だけ表示 / shown this once")
    minutes = serializers.IntegerField()


@endpoint("POST", takes=ResetAsked, gives=ResetOpened, scope="trust.write", status=201)
def open_reset(request: Request, given: dict[str, Any]) -> Response:
    """The officer has seen the person and her papers. The code goes to her on paper, and works for half an hour."""
    now = timezone.now()
    officer = staff_of(request, Organization.Kind.MUNICIPALITY)
    require_fresh(request, now=now)
    person = Person.objects.filter(username=given["username"], is_active=True).first()
    if person is None:
        raise Absent
    code = recovery.open_ticket(person, factors_lost=given["factors_lost"], by=officer, now=now)
    return Response({"code": code, "minutes": int(recovery.TICKET_LIFE.total_seconds() // 60)}, status=201)


urlpatterns = [path("desk/password-resets", open_reset, name="password-reset-open")]
