"""What staff keep from guardians or from the family, and let be seen again (G-10, G-12, G-13)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from phr.api.births import CLINICS, ID
from phr.api.frame import endpoint, require_fresh, staff_of
from phr.api.guardianship import DESKS
from phr.caller import request_id
from phr.trust import confidentiality
from phr.trust.confidentiality import Assessment, Kind, Wish

REFERENCE = r"^[A-Z][A-Za-z]{1,39}/[A-Za-z0-9\-.]{1,64}$"


class NewWish(serializers.Serializer[Any]):
    encounter = serializers.RegexField(ID)
    assessment = serializers.ChoiceField([str(one) for one in Assessment])
    wish = serializers.ChoiceField([str(one) for one in Wish])


class Items(serializers.Serializer[Any]):
    items = serializers.ListField(child=serializers.RegexField(REFERENCE), min_length=1, max_length=200)


class NewMark(Items):
    mark = serializers.ChoiceField([str(one) for one in Kind])


class NewRelease(Items):
    to_everybody = serializers.BooleanField(default=False)


class Marked(serializers.Serializer[Any]):
    items = serializers.ListField(child=serializers.CharField())


@endpoint("POST", takes=NewWish, gives=Marked, scope="trust.write")
def desk_wish(request: Request, subject: UUID, given: dict[str, Any]) -> Response:
    """A young person's wish about one encounter, with the clinician's assessment of her capacity."""
    marked = confidentiality.record_wish(
        subject=subject, encounter=given["encounter"], assessment=Assessment(given["assessment"]),
        wish=Wish(given["wish"]), by=staff_of(request, *CLINICS), now=timezone.now(),
        request=request_id(request._request),  # noqa: SLF001
    )  # fmt: skip
    return Response({"items": marked})


@endpoint("POST", takes=NewMark, gives=Marked, scope="trust.write")
def desk_mark(request: Request, subject: UUID, given: dict[str, Any]) -> Response:
    """Mark items, and what follows from them."""
    marked = confidentiality.mark(
        subject=subject, items=given["items"], kind=Kind(given["mark"]), by=staff_of(request, *DESKS),
        now=timezone.now(), request=request_id(request._request),  # noqa: SLF001
    )  # fmt: skip
    return Response({"items": marked})


@endpoint("POST", takes=NewRelease, gives=Marked, scope="trust.write")
def desk_mark_release(request: Request, subject: UUID, given: dict[str, Any]) -> Response:
    """A clinician lets what child protection hid be seen: by the young person, or by everybody."""
    by, now = staff_of(request, *CLINICS), timezone.now()
    require_fresh(request, now=now)
    changed = confidentiality.release(
        subject=subject, items=given["items"], to_everybody=given["to_everybody"], by=by, now=now,
        request=request_id(request._request),  # noqa: SLF001
    )  # fmt: skip
    return Response({"items": changed})


urlpatterns = [
    path("desk/records/<uuid:subject>/wishes", desk_wish, name="desk-wish"),
    path("desk/records/<uuid:subject>/marks", desk_mark, name="desk-mark"),
    path("desk/records/<uuid:subject>/marks/release", desk_mark_release, name="desk-mark-release"),
]
