"""The door of recipients' systems: ask for a program, fetch what was permitted, report, certify, give back.

A system learns of those it is given, and of nobody else. It comes with a system token of its organisation; its
signed purpose must be the purpose it asks for.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import path, reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import benefits, notices, overdue, provisions, recipients
from consent.decide import Caller, Capacity
from consent.duo import Intended, known_use
from consent.models import Benefit, Notice, Program, Provision, ProvisionRequest, Recipient
from consent.provisions import Asking
from consent.refusal import Absent, Because, Refusal
from phr.api.fields import Categories, Day, Moment, code, number, text
from phr.api.frame import endpoint
from phr.api.notices import NoticeShape
from phr.trust import providing

PAGE = 100  # provisions of a page


class Use(serializers.Serializer[Any]):
    """What is meant to be done, in terms of the GA4GH Data Use Ontology; what is not said is the worse."""

    use = code(11)
    disease = code(13, default="", allow_blank=True)
    profit = serializers.BooleanField(default=True)
    commercial = serializers.BooleanField(default=True)
    approved = serializers.BooleanField(default=False)
    publishes = serializers.BooleanField(default=False)


class NewRequest(serializers.Serializer[Any]):
    reference = code(provisions.REFERENCE)
    program = serializers.UUIDField()
    purpose = code(16)
    categories = Categories()
    level = serializers.IntegerField(min_value=1, max_value=3)
    until = Moment()
    data_low = Moment(required=False, allow_null=True, default=None)
    data_high = Moment(required=False, allow_null=True, default=None)
    profiling = serializers.BooleanField(default=False)
    onward = serializers.BooleanField(default=False)
    intended = Use(required=False, allow_null=True, default=None)


class RequestShape(serializers.Serializer[ProvisionRequest]):
    id = serializers.UUIDField()
    reference = serializers.CharField()
    program = serializers.UUIDField(source="program_id")
    purpose = serializers.CharField()
    categories = Categories()
    asked_at = serializers.DateTimeField()
    until = serializers.DateTimeField()


class HandedShape(serializers.Serializer[Provision]):
    """One that may be fetched. Whose it is, what it holds tells."""

    id = serializers.UUIDField()
    categories = Categories()
    made_at = serializers.DateTimeField()
    until = serializers.DateTimeField()


class HandedPage(serializers.Serializer[Any]):
    provisions = HandedShape(many=True)
    next = serializers.UUIDField(allow_null=True)


class ReportBody(serializers.Serializer[Any]):
    period_from = Day()
    used_for = text(4000)
    persons_with_access = number()
    handed_on = serializers.BooleanField()
    incidents = number()


class Certificate(serializers.Serializer[Any]):
    method = text(100)
    signed_by = text(100)


class NewBenefit(serializers.Serializer[Any]):
    program = serializers.UUIDField()
    provision = serializers.UUIDField(required=False, allow_null=True, default=None)
    kind = serializers.ChoiceField(Benefit.Kind.choices)
    text_ja = text(400)
    text_en = text(400)
    yen = number(default=0)


@endpoint("POST", takes=NewRequest, gives=RequestShape, scope="trust.write", status=201)
def ask_provisions(request: Request, given: dict[str, Any]) -> Response:
    """Ask for one program. The same `reference` again is the same request, and changes nothing."""
    by, now = _system(request), timezone.now()
    told, intended = dict(given), given["intended"]
    told.pop("intended")
    use = None if intended is None else Intended(**intended)
    if use is not None and not known_use(use):
        raise Refusal("利用目的の語が不正です / not a term of DUO", place="intended")
    asking = Asking(low=told.pop("data_low"), high=told.pop("data_high"), intended=use, **told)
    return Response(RequestShape(provisions.ask(asking=asking, by=by, now=now)).data, status=201)


@endpoint("GET", gives=RequestShape(many=True))
def list_requests(request: Request) -> Response:
    """What this organisation asked for, newest first."""
    found = provisions.requests_of(_recipient(_system(request)).organization_id)
    return Response([RequestShape(one).data for one in found])


@endpoint("GET", gives=HandedPage)
def list_handed(request: Request, id: UUID) -> Response:
    """What may be fetched for one request; who consented since is judged now. `?after=` the last id of the page."""
    by, now = _system(request), timezone.now()
    found = ProvisionRequest.objects.filter(pk=id).select_related("asked_by").first()
    if found is None or found.asked_by.organization_id != by.organization:
        raise Absent
    provisions.look_again(found, by=by, now=now)
    page, more = provisions.handed(found, after=_after(found, request.query_params.get("after", "")), most=PAGE)
    return Response(HandedPage({"provisions": page, "next": page[-1].pk if more else None}).data)


@endpoint("GET", gives=OpenApiTypes.OBJECT)
def fetch_provision(request: Request, id: UUID) -> Response:
    """One page of what was judged, as a Bundle; judged again now. Its link `next` goes on, `?count=` bounds a page."""
    by, now = _system(request), timezone.now()
    count = request.query_params.get("count", "100")
    if not count.isascii() or not count.isdecimal() or not 1 <= int(count[:6]) <= providing.MOST:
        raise Refusal(f"1 から {providing.MOST} まで / 1 to {providing.MOST}", place="count")
    cursor = request.query_params.get("after") or None
    told = providing.page(
        provision=id, by=by, cursor=cursor, count=int(count), now=now,
        terms=lambda sha256: settings.PHR_BASE_URL + reverse("terms-text", args=[sha256]),
    )  # fmt: skip
    answer = Response(told)
    answer["Link"] = f'<{told["link"][0]["url"]}>; rel="terms-of-service"'
    return answer


@endpoint("POST", takes=Certificate, scope="trust.write", status=204)
def certify_deletion(request: Request, id: UUID, given: dict[str, str]) -> Response:
    """Certify that what an ended provision gave is deleted (IT-22)."""
    recipient, found = _recipient(_system(request)), Provision.objects.filter(pk=id).first()
    if found is None:
        raise Absent(place="provision")
    overdue.certify(provision=found, recipient=recipients.principal(recipient), now=timezone.now(), **given)
    return Response(status=204)


@endpoint("POST", takes=ReportBody, scope="trust.write", status=204)
def report_use(request: Request, given: dict[str, Any]) -> Response:
    """Report on the use of what came, for one period (IT-22)."""
    recipient = recipients.principal(_recipient(_system(request)))
    period = given.pop("period_from")
    overdue.report(recipient=recipient, period_from=period, body=given, now=timezone.now())
    return Response(status=204)


@endpoint("POST", takes=NewBenefit, scope="trust.write", status=204)
def record_benefit(request: Request, given: dict[str, Any]) -> Response:
    """Say what came back: for one provision, or for everybody who took part in a program (IT-51)."""
    recipient = recipients.principal(_recipient(_system(request)))
    program = Program.objects.filter(pk=given.pop("program")).first()
    named = given.pop("provision")
    provision = None if named is None else Provision.objects.filter(pk=named).first()
    if program is None or (named is not None and provision is None):
        raise Absent(place="program" if program is None else "provision")
    benefits.record(by=recipient, program=program, provision=provision, now=timezone.now(), **given)
    return Response(status=204)


@endpoint("GET", gives=NoticeShape(many=True))
def recipient_notices(request: Request) -> Response:
    """What the trust told this organisation: ended consents, deletions due, its own state. Newest first, 200."""
    organization = _recipient(_system(request)).organization_id
    rows = Notice.objects.filter(organization_id=organization).order_by("-at", "-pk")[:200]
    return Response([NoticeShape(row).data for row in rows])


@endpoint("POST", scope="trust.write", status=204)
def recipient_acknowledge(request: Request, id: int) -> Response:
    """Take note of one; when it was is kept."""
    organization = _recipient(_system(request)).organization_id
    rows = Notice.objects.filter(pk=id, organization_id=organization)
    if not rows.exists():
        raise Absent
    notices.acknowledge(rows, now=timezone.now())
    return Response(status=204)


def _system(request: Request) -> Caller:
    """The caller, an organisation's own system. Raises Refusal for anybody else."""
    caller = request.auth
    if not isinstance(caller, Caller) or caller.capacity not in (Capacity.SYSTEM, Capacity.RESEARCHER):
        raise Refusal("提供先のシステムだけができます / only a recipient's system may", because=Because.FORBIDDEN)
    if caller.organization is None:
        raise Refusal("組織のない資格です / a token of no organization", because=Because.FORBIDDEN)
    return caller


def _recipient(by: Caller) -> Recipient:
    """Its row in the registry. Raises Refusal where there is none."""
    found = recipients.of_organization(by.organization)
    if found is None:
        raise Refusal("登録されていない提供先です / not in the registry", because=Because.FORBIDDEN)
    return found


def _after(request: ProvisionRequest, text: str) -> Provision | None:
    """The last of the page before. Raises Refusal for what is none of this request's."""
    if not text:
        return None
    seen = request.provisions.exclude(state__in=(Provision.State.ASKED, Provision.State.REFUSED))
    try:
        found = seen.filter(pk=UUID(text)).first()
    except ValueError:
        found = None
    if found is None:
        raise Refusal("続きの印が不正です / not a page of this request", place="after")
    return found


urlpatterns = [
    path("recipient/requests/all", list_requests, name="recipient-requests-all"),
    path("recipient/requests", ask_provisions, name="recipient-requests"),
    path("recipient/requests/<uuid:id>/provisions", list_handed, name="recipient-handed"),
    path("recipient/provisions/<uuid:id>", fetch_provision, name="recipient-provision"),
    path("recipient/provisions/<uuid:id>/deletion", certify_deletion, name="recipient-deletion"),
    path("recipient/reports", report_use, name="recipient-reports"),
    path("recipient/benefits", record_benefit, name="recipient-benefits"),
    path("recipient/notices", recipient_notices, name="recipient-notices"),
    path("recipient/notices/<int:id>/acknowledge", recipient_acknowledge, name="recipient-acknowledge"),
]
