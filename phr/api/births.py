"""Births, losses, deaths and adoptions, recorded at a desk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent.models import Guardianship, Organization, Person
from consent.refusal import Absent, Refusal
from phr.api.fields import Day
from phr.api.frame import endpoint, require_fresh, staff_of
from phr.api.guardianship import DESKS, known
from phr.caller import request_id
from phr.smart import severing
from phr.trust import adoption, birth, loss
from phr.trust.adoption import Parent
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
    on = Day()


class NewDeath(serializers.Serializer[Any]):
    record = serializers.UUIDField()
    on = Day()


class ParentShape(serializers.Serializer[Any]):
    person = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    evidence = serializers.ChoiceField(Guardianship.Evidence.choices)
    review_on = Day()


class NewAdoption(serializers.Serializer[Any]):
    record = serializers.UUIDField()
    name = serializers.CharField(max_length=100)
    starts_on = Day()
    parents = ParentShape(many=True, allow_empty=False, max_length=2)


class RecordShape(serializers.Serializer[Any]):
    record = serializers.UUIDField()


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


@endpoint("POST", takes=NewAdoption, gives=RecordShape, scope="trust.write", status=201)
def desk_adoption(request: Request, given: dict[str, Any]) -> Response:
    """Give an adopted child's record a new identity, and link the adoptive parents to it."""
    by, now = staff_of(request, Organization.Kind.MUNICIPALITY), timezone.now()
    require_fresh(request, now=now)
    parents = [Parent(_person(one.pop("person")), **one) for one in given["parents"]]
    with transaction.atomic():
        new, made = adoption.record(
            child=given["record"], name=given["name"], parents=parents, starts_on=given["starts_on"], by=by, now=now
        )
        severing.sever_record(given["record"], now=now)
    return Response({"record": str(new)}, status=201 if made else 200)


@endpoint("GET", gives=RecordShape)
def desk_former(request: Request, subject: UUID) -> Response:
    """Which identity an adopted child's record had: sealed for staff, and on the log."""
    by, now = staff_of(request, Organization.Kind.MUNICIPALITY), timezone.now()
    require_fresh(request, now=now)
    return Response({"record": str(adoption.former(record=subject, by=by, now=now))})


def _person(id: int) -> Person:
    found = Person.objects.filter(pk=id, is_active=True).first()
    if found is None:
        raise Absent(place="parents.person")
    return found


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
    path("desk/adoptions", desk_adoption, name="desk-adoption"),
    path("desk/records/<uuid:subject>/former", desk_former, name="desk-former"),
    path("desk/deaths", desk_death, name="desk-death"),
]
