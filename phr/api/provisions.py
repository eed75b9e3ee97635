"""What a person sees of provisions from a record, and answers where she is asked; what came back (IT-10, IT-51)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import benefits, provider_records, provisions
from consent.models import Benefit, Provision
from consent.refusal import Absent
from consent.telling import Reader, place_shown
from phr.api.fields import Categories
from phr.api.frame import endpoint, person_of, require_fresh
from phr.api.readers import reader_of, shown


class ProvisionShape(serializers.Serializer[Provision]):
    """One line of the history: when, to whom, items, purpose, consent and version, judgement."""

    id = serializers.UUIDField()
    made_at = serializers.DateTimeField()
    state = serializers.CharField()
    recipient = serializers.SerializerMethodField()
    organization = serializers.SerializerMethodField()
    program = serializers.UUIDField(source="program_id")
    title_ja = serializers.CharField(source="program.title_ja")
    title_en = serializers.CharField(source="program.title_en")
    benefit_ja = serializers.CharField(source="program.benefit_ja")
    benefit_en = serializers.CharField(source="program.benefit_en")
    purpose = serializers.CharField()
    categories = Categories()
    data_low = serializers.DateTimeField(allow_null=True)
    data_high = serializers.DateTimeField(allow_null=True)
    items = serializers.ListField(child=serializers.CharField())
    consent = serializers.IntegerField(source="grant_id", allow_null=True)
    consent_version = serializers.IntegerField(source="grant_version", allow_null=True)
    judgement = serializers.DictField()
    answered_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    ended_reason = serializers.CharField()

    def _named(self, provision: Provision) -> bool:
        return place_shown(self.context["reader"], given_by=_given_by(provision))

    def get_recipient(self, provision: Provision) -> str:
        """ "" where the place is protected (G-08)."""
        return provision.recipient.legal_name if self._named(provision) else ""

    def get_organization(self, provision: Provision) -> int | None:
        return provision.recipient.organization_id if self._named(provision) else None


class History(serializers.Serializer[Any]):
    """`reconciled`: the lines shown, the rows stored and the lines of the log are equally many."""

    provisions = ProvisionShape(many=True)
    reconciled = serializers.BooleanField()


class Answer(serializers.Serializer[Any]):
    yes = serializers.BooleanField()


class BenefitShape(serializers.Serializer[Benefit]):
    kind = serializers.CharField()
    text_ja = serializers.CharField()
    text_en = serializers.CharField()
    yen = serializers.IntegerField()
    came_at = serializers.DateTimeField()
    from_organization = serializers.SerializerMethodField()

    def get_from_organization(self, benefit: Benefit) -> int | None:
        """None where the place is protected (G-08)."""
        return benefit.recorded_by_id if place_shown(self.context["reader"]) else None


class LedgerLine(serializers.Serializer[Any]):
    provision = serializers.UUIDField(source="provision.id")
    made_at = serializers.DateTimeField(source="provision.made_at")
    recipient = serializers.CharField()
    title_ja = serializers.CharField(source="provision.program.title_ja")
    title_en = serializers.CharField(source="provision.program.title_en")
    items = serializers.IntegerField(source="count")
    benefits = BenefitShape(many=True)
    none_yet = serializers.BooleanField()


class LedgerShape(serializers.Serializer[Any]):
    lines = LedgerLine(many=True)
    provided = serializers.IntegerField()
    none_yet = serializers.IntegerField()
    yen = serializers.IntegerField()


@endpoint("GET", gives=History)
def provision_history(request: Request, subject: UUID) -> Response:
    """Every provision of this record, refused ones with their reasons; newest first."""
    record, reader = reader_of(request, subject, now=timezone.now())
    rows = provisions.history(record)
    agrees = provider_records.reconcile(record, shown=len(rows)).agrees
    return Response({"provisions": [_told(row, reader) for row in rows if _shown(row, reader)], "reconciled": agrees})


@endpoint("GET", gives=ProvisionShape(many=True))
def waiting_provisions(request: Request, subject: UUID) -> Response:
    """What waits for the person's answer: recipient, items, purpose, benefit."""
    now = timezone.now()
    record, reader = reader_of(request, subject, now=now)
    return Response([_told(row, reader) for row in provisions.waiting(record, now=now) if _shown(row, reader)])


@endpoint("POST", takes=Answer, gives=ProvisionShape, scope="trust.write")
def answer_provision(request: Request, subject: UUID, id: UUID, given: dict[str, bool]) -> Response:
    """Yes or no to one that asks each time. A yes wants a fresh proof of who one is; a no never does."""
    now = timezone.now()
    record, reader = reader_of(request, subject, now=now)
    found = Provision.objects.filter(pk=id, subject=record).first()
    if found is None or not _shown(found, reader):
        raise Absent
    if given["yes"]:
        require_fresh(request, now=now)
    answered = provisions.answer(provision=found, yes=given["yes"], by=person_of(request), now=now)
    return Response(_told(answered, reader))


@endpoint("GET", gives=LedgerShape)
def benefit_ledger(request: Request, subject: UUID) -> Response:
    """What this record gave, and what came back; "none yet" is said."""
    record, reader = reader_of(request, subject, now=timezone.now())
    told = benefits.Ledger(tuple(one for one in benefits.ledger(record).lines if _shown(one.provision, reader)))
    lines = [
        {"provision": one.provision, "benefits": one.benefits, "none_yet": not one.benefits,
         "recipient": _told(one.provision, reader)["recipient"], "count": len(one.provision.items)}
        for one in told.lines
    ]  # fmt: skip
    whole = {"lines": lines, "provided": told.provided, "none_yet": told.none_yet, "yen": told.yen}
    return Response(LedgerShape(whole, context={"reader": reader}).data)


def _told(provision: Provision, reader: Reader) -> dict[str, Any]:
    return dict(ProvisionShape(provision, context={"reader": reader}).data)


def _given_by(provision: Provision) -> int | None:
    return None if provision.grant is None else provision.grant.given_by_id


def _shown(provision: Provision, reader: Reader) -> bool:
    """A provision is there for whoever is told of the consent it stands on."""
    return provision.grant is None or shown(provision.grant, reader)


urlpatterns = [
    path("records/<uuid:subject>/provisions", provision_history, name="provisions"),
    path("records/<uuid:subject>/provisions/waiting", waiting_provisions, name="provisions-waiting"),
    path("records/<uuid:subject>/provisions/<uuid:id>/answer", answer_provision, name="provision-answer"),
    path("records/<uuid:subject>/benefits", benefit_ledger, name="benefits"),
]
