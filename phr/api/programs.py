"""Programs: shown to people with recipient, items, purpose and benefit; drafted and decided at the trust's own desk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import board, governance, programs
from consent.models import EthicsDecision, Organization, Person, Program, Recipient, Terms
from consent.programs import Proposal
from consent.refusal import Absent, Refusal
from phr.api.fields import Categories, Moment, code, number, text
from phr.api.frame import endpoint, require_fresh, staff_of

OPERATOR = Organization.Kind.OPERATOR


class Named(serializers.Serializer[Recipient]):
    id = serializers.IntegerField()
    organization = serializers.IntegerField(source="organization_id")
    name = serializers.CharField(source="legal_name")


class ProgramShape(serializers.Serializer[Program]):
    """What a person sees before she decides: to whom, what, for what, what comes back."""

    id = serializers.UUIDField()
    title_ja = serializers.CharField()
    title_en = serializers.CharField()
    recipients = Named(many=True)
    purpose = serializers.CharField()
    duo = serializers.ListField(child=serializers.CharField())
    categories = Categories()
    level = serializers.IntegerField()
    use_class = serializers.CharField()
    benefit_ja = serializers.CharField()
    benefit_en = serializers.CharField()
    profiling = serializers.BooleanField()
    onward = serializers.BooleanField()
    data_low = serializers.DateTimeField(allow_null=True)
    data_high = serializers.DateTimeField(allow_null=True)
    state = serializers.CharField()
    approved_until = serializers.DateTimeField(source="approval.valid_until", allow_null=True, default=None)


class NewProgram(serializers.Serializer[Any]):
    title_ja = text()
    title_en = text()
    recipients = serializers.ListField(child=number(), min_length=1, max_length=50)
    purpose = code(16)
    categories = Categories()
    level = serializers.IntegerField(min_value=1, max_value=3)
    use_class = serializers.ChoiceField(Program.UseClass.choices)
    benefit_ja = text(4000, default="", allow_blank=True)
    benefit_en = text(4000, default="", allow_blank=True)
    duo = serializers.ListField(child=code(13), default=list, max_length=10)
    profiling = serializers.BooleanField(default=False)
    onward = serializers.BooleanField(default=False)
    data_low = Moment(required=False, allow_null=True, default=None)
    data_high = Moment(required=False, allow_null=True, default=None)


class Seat(serializers.Serializer[Any]):
    person = number()
    role = code(9)


class Decision(serializers.Serializer[Any]):
    """About exactly one: a program, a recipient, a version of the terms, a screen ("name@version")."""

    program = serializers.UUIDField(required=False)
    recipient = number(required=False)
    terms = number(required=False)
    screen = text(61, required=False)
    outcome = serializers.ChoiceField(EthicsDecision.Outcome.choices)
    reasons = text(4000)
    members = serializers.ListField(child=Seat(), default=list, max_length=30)
    valid_until = serializers.DateTimeField(required=False, allow_null=True, default=None)


class Decided(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    outcome = serializers.CharField()
    decided_at = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(allow_null=True)


class Period(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()


@endpoint("GET", gives=ProgramShape(many=True))
def list_programs(request: Request) -> Response:
    """What one may give to now."""
    return Response([ProgramShape(one).data for one in programs.running(now=timezone.now())])


@endpoint("GET", gives=ProgramShape(many=True))
def desk_programs(request: Request) -> Response:
    """Every program, in whatever state, newest first."""
    staff_of(request, OPERATOR)
    found = Program.objects.select_related("approval").prefetch_related("recipients").order_by("-proposed_at", "pk")
    return Response([ProgramShape(one).data for one in found])


@endpoint("POST", takes=NewProgram, gives=ProgramShape, scope="trust.write", status=201)
def propose_program(request: Request, given: dict[str, Any]) -> Response:
    """Draft one."""
    staff = staff_of(request, OPERATOR)
    wanted = set(given.pop("recipients"))
    found = list(Recipient.objects.filter(pk__in=wanted))
    if len(found) != len(wanted):
        raise Refusal("提供先がありません / no such recipient", place="recipients")
    proposal = Proposal(low=given.pop("data_low"), high=given.pop("data_high"), duo=tuple(given.pop("duo")), **given)
    return _told(programs.propose(proposal=proposal, recipients=found, by=staff, now=timezone.now()), 201)


@endpoint("POST", gives=ProgramShape, scope="trust.write")
def submit_program(request: Request, id: UUID) -> Response:
    """Put a draft before the board; without a benefit it does not get there (IT-50)."""
    staff = staff_of(request, OPERATOR)
    return _told(programs.submit(program=_found(id), by=staff, now=timezone.now()))


@endpoint("POST", gives=ProgramShape, scope="trust.write")
def close_program(request: Request, id: UUID) -> Response:
    """Let it come to its end."""
    staff = staff_of(request, OPERATOR)
    return _told(programs.close(program=_found(id), by=staff, now=timezone.now()))


@endpoint("POST", takes=Decision, gives=Decided, scope="trust.write", status=201)
def decide(request: Request, given: dict[str, Any]) -> Response:
    """Write down what the data ethics board decided; a stop counts at once (IT-30)."""
    staff = staff_of(request, OPERATOR)
    if given["outcome"] != EthicsDecision.Outcome.STOP:  # to stop, nothing may stand in the way
        require_fresh(request, now=timezone.now())
    made = board.decide(
        about=_about(given), outcome=given["outcome"], members=_members(given["members"]), reasons=given["reasons"],
        valid_until=given["valid_until"], by=staff, now=timezone.now(),
    )  # fmt: skip
    return Response(Decided(made).data, status=201)


@endpoint("POST", takes=Period, gives=OpenApiTypes.OBJECT)
def governance_report(request: Request, given: dict[str, Any]) -> Response:
    """What the board is accountable for within a period, from the tables."""
    staff_of(request, OPERATOR)
    told = governance.report(since=given["since"], until=given["until"], now=timezone.now())
    return Response({**told, "faults": governance.faults(now=timezone.now())})


def _about(given: dict[str, Any]) -> board.About:
    named = [name for name in ("program", "recipient", "terms", "screen") if given.get(name) is not None]
    if len(named) != 1:
        raise Refusal("対象を一つだけ指定します / about exactly one thing", place="program")
    if named == ["program"]:
        return _found(given["program"])
    if named == ["screen"]:
        name, _, version = given["screen"].partition("@")
        return board.Screen(name, version)
    kind = Recipient if named == ["recipient"] else Terms
    found = kind.objects.filter(**{"pk" if kind is Recipient else "version": given[named[0]]}).first()
    if found is None:
        raise Refusal("対象がありません / no such thing", place=named[0])
    return found


def _members(seats: list[dict[str, Any]]) -> dict[Person, str]:
    roles = {seat["person"]: seat["role"] for seat in seats}
    found = Person.objects.filter(pk__in=roles).select_related("organization")
    if len(roles) != len(seats) or found.count() != len(roles):
        raise Refusal("委員が登録されていないか、重複しています / unknown, or seated twice", place="members")
    return {person: roles[person.pk] for person in found}


def _found(id: UUID) -> Program:
    found = Program.objects.filter(pk=id).first()
    if found is None:
        raise Absent
    return found


def _told(program: Program, status: int = 200) -> Response:
    return Response(ProgramShape(program).data, status=status)


urlpatterns = [
    path("programs", list_programs, name="programs"),
    path("desk/programs/all", desk_programs, name="desk-programs-all"),
    path("desk/programs", propose_program, name="desk-programs"),
    path("desk/programs/<uuid:id>/submit", submit_program, name="desk-program-submit"),
    path("desk/programs/<uuid:id>/close", close_program, name="desk-program-close"),
    path("desk/decisions", decide, name="desk-decisions"),
    path("desk/governance", governance_report, name="desk-governance"),
]
