"""Births, losses, deaths and adoptions, recorded at a desk."""

from __future__ import annotations

from typing import Any

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent.models import Organization
from consent.refusal import Refusal
from phr.api.frame import endpoint, require_fresh, staff_of
from phr.api.guardianship import DESKS, known
from phr.caller import request_id
from phr.smart import severing
from phr.trust import birth, loss
from phr.trust.birth import Newborn
from phr.trust.birth_copy import PROPHYLAXIS

CLINICS = (Organization.Kind.CLINIC, Organization.Kind.HOSPITAL)
ID = r"^[A-Za-z0-9\-.]{1,64}$"


class NewbornShape(serializers.Serializer[Any]):
    born_at = serializers.DateTimeField()
    gender = serializers.ChoiceField(["male", "female", "other", "unknown"], default="unknown")
    name = serializers.CharField(max_length=100, required=False, default="")
    sources = serializers.ListField(
        child=serializers.RegexField(r"^(Observation|Immunization)/[A-Za-z0-9\-.]{1,64}$"), max_length=100, default=list
    )
    given = serializers.ListField(child=serializers.ChoiceField(sorted(PROPHYLAXIS)), max_length=10, default=list)
    indicated = serializers.BooleanField(default=False)


class NewBirth(serializers.Serializer[Any]):
    mother = serializers.UUIDField()
    delivered_by = serializers.RegexField(r"^\d{10}$", required=False)  # 医療機関コード
    episode = serializers.RegexField(ID, required=False, default="")
    children = NewbornShape(many=True, allow_empty=False, max_length=6)


class BirthShape(serializers.Serializer[Any]):
    children = serializers.ListField(child=serializers.UUIDField())


class NewLoss(serializers.Serializer[Any]):
    mother = serializers.UUIDField()
    episode = serializers.RegexField(ID)
    loss = serializers.ChoiceField([str(one) for one in loss.Loss])
    on = serializers.DateField()


class NewDeath(serializers.Serializer[Any]):
    record = serializers.UUIDField()
    on = serializers.DateField()


@endpoint("POST", takes=NewBirth, gives=BirthShape, scope="trust.write", status=201)
def desk_birth(request: Request, given: dict[str, Any]) -> Response:
    """Give live-born children records of their own; 200 where they have them already."""
    by, now = staff_of(request, *DESKS), timezone.now()
    require_fresh(request, now=now)
    split = birth.record(
        mother=given["mother"], children=[_newborn(told) for told in given["children"]],
        delivered_by=_clinic(given.get("delivered_by"), by.organization), by=by, now=now, episode=given["episode"],
        request=request_id(request._request),  # noqa: SLF001
    )  # fmt: skip
    return Response({"children": [str(id) for id in split.children]}, status=201 if split.made else 200)


@endpoint("POST", takes=NewLoss, scope="trust.write", status=204)
def desk_loss(request: Request, given: dict[str, Any]) -> Response:
    """Record the loss of a pregnancy; silent to everybody but the mother and this clinic."""
    by, now = staff_of(request, *CLINICS), timezone.now()
    loss.record(
        mother=given["mother"], episode=given["episode"], loss=loss.Loss(given["loss"]), on=given["on"], by=by, now=now,
        request=request_id(request._request),  # noqa: SLF001
    )  # fmt: skip
    return Response(status=204)


@endpoint("POST", takes=NewDeath, scope="trust.write", status=204)
def desk_death(request: Request, given: dict[str, Any]) -> Response:
    """Record a death: nobody acts for this record any more, and nothing opens to the family by itself."""
    by, now = staff_of(request, *DESKS), timezone.now()
    require_fresh(request, now=now)
    severing.record_death(subject=known(given["record"]), on=given["on"], by=by, now=now)
    return Response(status=204)


def _newborn(told: dict[str, Any]) -> Newborn:
    return Newborn(**{**told, "sources": tuple(told["sources"]), "given": tuple(told["given"])})


def _clinic(code: str | None, own: Organization | None) -> Organization:
    if code is None and own is not None:
        return own
    found = Organization.objects.filter(code=code or "", kind__in=CLINICS, state=Organization.State.ACTIVE).first()
    if found is None:
        raise Refusal("登録されていない医療機関です / a clinic that is not registered", place="delivered_by")
    return found


urlpatterns = [
    path("desk/births", desk_birth, name="desk-birth"),
    path("desk/losses", desk_loss, name="desk-loss"),
    path("desk/deaths", desk_death, name="desk-death"),
]
