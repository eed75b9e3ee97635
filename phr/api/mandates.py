"""The terms, and entrusting a record on them (IT-01)."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import mandates
from consent.models import Mandate, Organization, Terms
from consent.refusal import Absent
from phr.api.fields import text
from phr.api.frame import endpoint, person_of, record_of, require_fresh, staff_of

_SHA256 = re.compile(r"[0-9a-f]{64}")


class TermsShape(serializers.Serializer[Terms]):
    version = serializers.IntegerField()
    published_at = serializers.DateTimeField()
    sha256_ja = serializers.CharField()
    sha256_en = serializers.CharField()
    text_ja = serializers.CharField()
    text_en = serializers.CharField()


class TermsText(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    locale = serializers.CharField()
    sha256 = serializers.CharField()
    text = serializers.CharField()


class NewTerms(serializers.Serializer[Any]):
    text_ja = text(mandates.LONGEST, trim_whitespace=False)
    text_en = text(mandates.LONGEST, trim_whitespace=False)


class Acceptance(serializers.Serializer[Any]):
    sha256 = serializers.RegexField(r"^[0-9a-f]{64}$")


class MandateShape(serializers.Serializer[Mandate]):
    terms = serializers.IntegerField(source="terms.version")
    locale = serializers.CharField()
    sha256 = serializers.CharField()
    capacity = serializers.CharField()
    accepted_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    current = serializers.SerializerMethodField()

    def get_current(self, mandate: Mandate) -> bool:
        return mandate.ended_at is None and mandate.terms.version == self.context["version"]


@endpoint("GET", gives=TermsShape, open=True)
def current_terms(request: Request) -> Response:
    """The version in force, in both languages."""
    found = mandates.current()
    if found is None:
        raise Absent
    return Response(TermsShape(found).data)


@endpoint("GET", gives=TermsText, open=True)
def terms_text(request: Request, sha256: str) -> Response:
    """Any published text by its hash, exactly as it was accepted."""
    if not _SHA256.fullmatch(sha256):
        raise Absent
    terms, locale, words = mandates.text_of(sha256)
    return Response({"version": terms.version, "locale": locale.value, "sha256": sha256, "text": words})


@endpoint("POST", takes=NewTerms, gives=TermsShape, scope="trust.write", status=201)
def publish_terms(request: Request, given: dict[str, str]) -> Response:
    """Publish the next version. New provisions wait for its acceptance; reading goes on."""
    staff = staff_of(request, Organization.Kind.OPERATOR)
    require_fresh(request, now=timezone.now())
    made = mandates.publish(text_ja=given["text_ja"], text_en=given["text_en"], by=staff, now=timezone.now())
    return Response(TermsShape(made).data, status=201)


@endpoint("GET", gives=MandateShape(many=True))
def list_mandates(request: Request, subject: UUID) -> Response:
    """Every acceptance for this record, newest first."""
    record, _ = record_of(request, subject, now=timezone.now())
    return Response(_told(mandates.of(record)))


@endpoint("POST", takes=Acceptance, gives=MandateShape, scope="trust.write", status=201)
def accept_terms(request: Request, subject: UUID, given: dict[str, str]) -> Response:
    """Entrust this record on the text with this hash. Who guards a child does so for the child."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    made = mandates.accept(subject=record, sha256=given["sha256"], by=person_of(request), now=now)
    return Response(_told([made])[0], status=201)


@endpoint("POST", scope="trust.write", status=204)
def end_mandate(request: Request, subject: UUID) -> Response:
    """Take it back: nothing new is provided from here on."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    mandates.end(subject=record, by=person_of(request), now=now)
    return Response(status=204)


def _told(found: list[Mandate]) -> list[dict[str, Any]]:
    version = mandates.current_version()
    return [dict(MandateShape(one, context={"version": version}).data) for one in found]


urlpatterns = [
    path("terms", current_terms, name="terms"),
    path("terms/<str:sha256>", terms_text, name="terms-text"),
    path("desk/terms", publish_terms, name="desk-terms"),
    path("records/<uuid:subject>/mandates", list_mandates, name="mandates"),
    path("records/<uuid:subject>/mandate", accept_terms, name="mandate-accept"),
    path("records/<uuid:subject>/mandate/end", end_mandate, name="mandate-end"),
]
