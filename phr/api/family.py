"""A person about her own record or her child's: what waits for both guardians, who is let in, protection, childhood."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import joint, protection, proxies, rules
from consent.decide import Capacity
from consent.models import Grant, Guardianship, JointAct, Subject
from consent.refusal import Absent
from phr.api.frame import endpoint, person_of, record_of, require_fresh
from phr.smart import severing
from phr.trust import consents


class ActShape(serializers.Serializer[JointAct]):
    """No name, place or device: who asked is oneself or another guardian."""

    id = serializers.IntegerField()
    kind = serializers.CharField()
    state = serializers.CharField()
    asked_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    mine = serializers.SerializerMethodField()
    grant = serializers.IntegerField(source="grant_id", allow_null=True)
    consent = serializers.SerializerMethodField()
    detail = serializers.JSONField()

    def get_mine(self, act: JointAct) -> bool:
        return bool(act.asked_by_id == self.context["person"])

    def get_consent(self, act: JointAct) -> Any:
        return None if act.grant is None else act.grant.root


class ProxyShape(serializers.Serializer[Grant]):
    grant = serializers.IntegerField(source="pk")
    persons = serializers.SerializerMethodField()
    given_at = serializers.DateTimeField()
    suspended = serializers.SerializerMethodField()
    consent = serializers.JSONField(source="root")

    def get_persons(self, grant: Grant) -> list[int]:
        return proxies.persons_of(grant)

    def get_suspended(self, grant: Grant) -> str | None:
        held = getattr(grant, "suspension", None)
        return None if held is None else str(held.why)


class Confirmation(serializers.Serializer[Any]):
    keep = serializers.ListField(child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), max_length=1000)


class CaseOpened(serializers.Serializer[Any]):
    case = serializers.IntegerField()


class Childhood(serializers.Serializer[Any]):
    guardians = serializers.ListField(child=serializers.DictField())
    consents = serializers.ListField(child=serializers.DictField())


@endpoint("GET", gives=ActShape(many=True))
def joint_acts(request: Request, subject: UUID) -> Response:
    """What waits for both guardians, or may be done now, newest first."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    told = {"person": person_of(request).pk}
    return Response([ActShape(act, context=told).data for act in joint.of(record, now=now)])


@endpoint("POST", gives=ActShape, scope="trust.write")
def joint_act_agree(request: Request, subject: UUID, id: int) -> Response:
    """One guardian's yes; needs a fresh proof of who says it."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    act = _act(record, id)
    require_fresh(request, now=now)
    with consents.followed(record, by=person_of(request), now=now):
        done = joint.agree(act=act, by=person_of(request), now=now)
    return Response(ActShape(done, context={"person": person_of(request).pk}).data)


@endpoint("POST", gives=ActShape, scope="trust.write")
def joint_act_refuse(request: Request, subject: UUID, id: int) -> Response:
    """A no, or taking back what one asked oneself: it settles the act."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    with consents.followed(record, by=person_of(request), now=now):
        done = joint.refuse(act=_act(record, id), by=person_of(request), now=now)
    return Response(ActShape(done, context={"person": person_of(request).pk}).data)


@endpoint("GET", gives=ProxyShape(many=True))
def list_proxies(request: Request, subject: UUID) -> Response:
    """Whom the person herself, or this guardian, let in; suspended ones say why."""
    record, capacity = record_of(request, subject, now=timezone.now())
    own = person_of(request).pk
    found = [g for g in proxies.of(record) if capacity is Capacity.SELF or g.given_by_id == own]
    return Response([ProxyShape(grant).data for grant in found])


@endpoint("POST", takes=Confirmation, gives=ProxyShape(many=True), scope="trust.write")
def confirm_proxies(request: Request, subject: UUID, given: dict[str, Any]) -> Response:
    """The list was looked at: these stay, the others end. Needs a fresh proof of who says it."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    require_fresh(request, now=now)
    with consents.followed(record, by=person_of(request), now=now):
        kept = proxies.confirm(subject=record, keep=given["keep"], by=person_of(request), now=now)
    return Response([ProxyShape(Grant.objects.get(pk=grant.pk)).data for grant in kept])


@endpoint("POST", scope="trust.write", status=204)
def cancel_proxy(request: Request, subject: UUID, grant: int) -> Response:
    """Cancel one, alone and at once."""
    now = timezone.now()
    record, capacity = record_of(request, subject, now=now)
    own = person_of(request)
    if capacity is not Capacity.SELF and not Grant.objects.filter(pk=grant, given_by=own).exists():
        raise Absent
    with consents.followed(record, by=own, now=now):
        proxies.cancel(subject=record, grant=grant, by=own, now=now)
    return Response(status=204)


@endpoint("POST", gives=CaseOpened, scope="trust.write", status=201)
def ask_protection(request: Request, subject: UUID) -> Response:
    """Hide at once what tells of a place; a case opens for staff."""
    now = timezone.now()
    record, _ = record_of(request, subject, now=now)
    return Response({"case": protection.ask(subject=record, by=person_of(request), now=now).pk}, status=201)


@endpoint("POST", scope="trust.write", status=204)
def leave(request: Request, subject: UUID) -> Response:
    """A guardian ends her own link, and no other's; needs a fresh proof of who says it."""
    now = timezone.now()
    record, capacity = record_of(request, subject, now=now)
    if capacity is not Capacity.GUARDIAN:
        raise Absent
    require_fresh(request, now=now)
    by = person_of(request)
    link = Guardianship.objects.get(person=by, subject=record, state=Guardianship.State.ACTIVE)
    severing.end(guardianship_id=link.pk, by=by, reason="own-wish", now=now)
    return Response(status=204)


@endpoint("GET", gives=Childhood)
def childhood(request: Request, subject: UUID) -> Response:
    """To the grown-up herself: who acted for her, and who consented to what (G-16)."""
    now = timezone.now()
    record, capacity = record_of(request, subject, now=now)
    today = rules.today_in_japan(now)
    grown = record.birth_on is not None and rules.age_on(record.birth_on, today) >= rules.ADULT_AGE
    if capacity is not Capacity.SELF or not grown:
        raise Absent
    links = Guardianship.objects.filter(subject=record).select_related("person").order_by("pk")
    given = Grant.objects.filter(subject=record, capacity=Capacity.GUARDIAN).select_related("given_by").order_by("pk")
    return Response({
        "guardians": [
            {"name": x.person.name, "kind": x.kind, "from": x.starts_on, "until": x.ends_on} for x in links
        ],
        "consents": [
            {"grant": g.pk, "by": g.given_by.name if g.given_by else None, "given_at": g.given_at,
             "state": g.state, "ended_at": g.ended_at, "consent": g.root} for g in given
        ],
    })  # fmt: skip


def _act(record: Subject, id: int) -> JointAct:
    found = JointAct.objects.filter(pk=id, subject=record).first()
    if found is None:
        raise Absent
    return found


urlpatterns = [
    path("records/<uuid:subject>/joint-acts", joint_acts, name="joint-acts"),
    path("records/<uuid:subject>/joint-acts/<int:id>/agree", joint_act_agree, name="joint-act-agree"),
    path("records/<uuid:subject>/joint-acts/<int:id>/refuse", joint_act_refuse, name="joint-act-refuse"),
    path("records/<uuid:subject>/proxies", list_proxies, name="proxies"),
    path("records/<uuid:subject>/proxies/confirm", confirm_proxies, name="proxies-confirm"),
    path("records/<uuid:subject>/proxies/<int:grant>/cancel", cancel_proxy, name="proxy-cancel"),
    path("records/<uuid:subject>/protection", ask_protection, name="protection"),
    path("records/<uuid:subject>/guardianship/leave", leave, name="guardianship-leave"),
    path("records/<uuid:subject>/childhood", childhood, name="childhood"),
]
