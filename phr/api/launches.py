"""An EHR starts an app: it keeps what it has open and gets the value to start the app with.

Source: SMART App Launch 2.2, section 2.1.2; how an EHR asks its authorization server is not in the specification.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent.decide import Caller, Capacity
from consent.models import Organization, Person
from consent.refusal import Because, Refusal
from phr.api.frame import endpoint, staff_of
from phr.smart import ehr

_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,40}/[A-Za-z0-9\-.]{1,64}")
MOST_REFERENCES = 20


class IdentifierShape(serializers.Serializer[Any]):
    system = serializers.CharField(max_length=200, required=False)
    value = serializers.CharField(max_length=200)


class ContextItem(serializers.Serializer[Any]):
    """One thing the app should open beside patient and encounter (section 2.1.5.2)."""

    reference = serializers.CharField(max_length=110, required=False)
    canonical = serializers.URLField(max_length=500, required=False)
    identifier = IdentifierShape(required=False)
    type = serializers.RegexField(r"^[A-Z][A-Za-z]{1,40}$", required=False)
    role = serializers.CharField(max_length=200, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not {"reference", "canonical", "identifier"} & attrs.keys():
            raise serializers.ValidationError("reference, canonical, identifier のどれかが要ります / one is needed")
        reference = attrs.get("reference", "")
        if reference and not _REFERENCE.fullmatch(reference):
            raise serializers.ValidationError({"reference": "型/id の形で / as Type/id"})
        if reference.partition("/")[0] in ("Patient", "Encounter") and attrs.get("role", "launch") == "launch":
            raise serializers.ValidationError(
                {"reference": "患者と受診は別の欄です / patient and encounter have fields"}
            )
        return attrs


class LaunchAsked(serializers.Serializer[Any]):
    patient = serializers.UUIDField(required=False)
    encounter = serializers.RegexField(r"^[A-Za-z0-9\-.]{1,64}$", required=False)
    person = serializers.IntegerField(required=False, min_value=1, max_value=2**62)
    fhirContext = serializers.ListField(  # noqa: N815  the specification's name
        child=ContextItem(), required=False, max_length=MOST_REFERENCES
    )
    intent = serializers.CharField(max_length=200, required=False)
    need_patient_banner = serializers.BooleanField(required=False, default=None, allow_null=True)
    smart_style_url = serializers.URLField(max_length=500, required=False)
    tenant = serializers.CharField(max_length=200, required=False)

    def validate_smart_style_url(self, value: str) -> str:
        if urlsplit(value).scheme != "https":
            raise serializers.ValidationError("https の住所を / an https address, please")
        return value


class LaunchShape(serializers.Serializer[Any]):
    launch = serializers.CharField()
    iss = serializers.URLField()
    expires_at = serializers.DateTimeField()


@endpoint("POST", takes=LaunchAsked, gives=LaunchShape, scope="trust.write", status=201)
def offer_launch(request: Request, given: dict[str, Any]) -> Response:
    """Keep what is open. The value is good once, for five minutes, for staff of the organisation that asks.

    A system names the person (`person`) or leaves it open to any of its staff; staff ask for themselves.
    """
    now = timezone.now()
    organization, person, by = _asking(request, given.pop("person", None))
    subject, encounter = given.pop("patient", None), given.pop("encounter", "")
    context = {name: value for name, value in given.items() if value not in (None, "", [])}
    value = ehr.offer(
        organization=organization, person=person, subject=subject, encounter=encounter, context=context, by=by, now=now
    )
    return Response(_told(value, now), status=201)


def _told(value: str, now: datetime) -> dict[str, Any]:
    return {"launch": value, "iss": f"{settings.PHR_BASE_URL}/fhir", "expires_at": now + ehr.LIFE}


def _asking(request: Request, named: int | None) -> tuple[Organization, Person | None, Person | Caller]:
    caller = request.auth
    if isinstance(caller, Caller) and caller.capacity is Capacity.SYSTEM and caller.organization is not None:
        person = Person.objects.filter(pk=named, organization=caller.organization).first() if named else None
        if named and person is None:
            raise Refusal("この組織の職員ではありません / not staff of this organisation", place="person")
        return Organization.objects.get(pk=caller.organization), person, caller
    person = staff_of(request, *ehr.CARING)
    if named not in (None, person.pk):
        raise Refusal("自分のためにだけ開けます / only for oneself", place="person", because=Because.FORBIDDEN)
    assert person.organization is not None  # staff_of
    return person.organization, person, caller if isinstance(caller, Caller) else person


urlpatterns = [path("desk/launches", offer_launch, name="launch-offer")]
