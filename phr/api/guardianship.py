"""The desk that verifies guardians: link, renew, freeze, release, end; places hidden, cases closed (G-04 to G-08)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent import guardianship, kin, protection, proxies, rules
from consent.audit import Event
from consent.guardianship import FreezeReason
from consent.models import Guardianship, Organization, Person, ProtectionCase, Subject
from consent.refusal import Absent
from phr.api.fields import Day
from phr.api.frame import endpoint, read_at_desk, require_fresh, staff_of
from phr.smart import severing

DESKS = (Organization.Kind.MUNICIPALITY, Organization.Kind.CLINIC, Organization.Kind.HOSPITAL)


class LinkShape(serializers.Serializer[Guardianship]):
    id = serializers.IntegerField()
    record = serializers.UUIDField(source="subject_id")
    person = serializers.IntegerField(source="person_id")
    kind = serializers.CharField()
    state = serializers.CharField()
    evidence = serializers.CharField()
    sole = serializers.BooleanField()
    starts_on = Day()
    ends_on = Day(allow_null=True)
    review_on = Day()
    overdue = serializers.SerializerMethodField()

    def get_overdue(self, link: Guardianship) -> bool:
        return link.review_on < rules.today_in_japan(timezone.now())


class NewLink(serializers.Serializer[Any]):
    record = serializers.UUIDField()
    person = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    kind = serializers.ChoiceField(Guardianship.Kind.choices)
    evidence = serializers.ChoiceField(Guardianship.Evidence.choices)
    starts_on = Day()
    ends_on = Day(required=False, allow_null=True)
    review_on = Day()
    sole = serializers.BooleanField(required=False, default=False)


class Renewal(serializers.Serializer[Any]):
    evidence = serializers.ChoiceField(Guardianship.Evidence.choices)
    review_on = Day()


class Freezing(serializers.Serializer[Any]):
    reason = serializers.ChoiceField([str(one) for one in FreezeReason])


class Ending(serializers.Serializer[Any]):
    reason = serializers.RegexField(r"^[a-z\-]{1,40}$")


class Released(serializers.Serializer[Any]):
    released = serializers.BooleanField()


class Location(serializers.Serializer[Any]):
    hidden = serializers.BooleanField()
    reason = serializers.ChoiceField([str(one) for one in protection.Reason])


class ProtectionCaseShape(serializers.Serializer[ProtectionCase]):
    id = serializers.IntegerField()
    record = serializers.UUIDField(source="subject_id")
    asked_by = serializers.IntegerField(source="asked_by_id")
    opened_at = serializers.DateTimeField()


class Closing(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField([str(one) for one in protection.Outcome])


@endpoint("GET", gives=LinkShape(many=True))
def desk_links(request: Request, subject: UUID) -> Response:
    """The links of one record that have not ended; not of one's own family's."""
    by = staff_of(request, *DESKS)
    if kin.is_kin(by, subject):
        raise Absent
    links = Guardianship.objects.filter(subject=known(subject)).exclude(state=Guardianship.State.ENDED).order_by("pk")
    read_at_desk(request, Event.GUARDIANSHIP_READ, [subject], by=by, now=timezone.now())
    return Response([LinkShape(link).data for link in links])


@endpoint("GET", gives=LinkShape(many=True))
def desk_reviews(request: Request) -> Response:
    """Links this desk verified that must be looked at: frozen ones, and those due for review within 60 days or
    overdue."""
    by, now = staff_of(request, *DESKS), timezone.now()
    desk, own = by.organization, kin.records_of(by)
    assert desk is not None
    due = [link for link in guardianship.due_for_review(desk, now=now) if link.subject_id not in own]
    read_at_desk(request, Event.GUARDIANSHIP_READ, [link.subject_id for link in due], by=by, now=now)
    return Response([LinkShape(link).data for link in due])


@endpoint("POST", takes=NewLink, gives=LinkShape, scope="trust.write", status=201)
def desk_link(request: Request, given: dict[str, Any]) -> Response:
    """Link a guardian on evidence seen here. Needs a fresh proof of who verifies."""
    by, now = staff_of(request, *DESKS), timezone.now()
    require_fresh(request, now=now)
    subject = known(given.pop("record"))
    person = Person.objects.filter(pk=given.pop("person"), is_active=True).first()
    if person is None:
        raise Absent(place="person")
    made = guardianship.link(subject=subject, person=person, by=by, now=now, **given)
    return Response(LinkShape(made).data, status=201)


@endpoint("POST", takes=Renewal, gives=LinkShape, scope="trust.write")
def desk_renew(request: Request, id: int, given: dict[str, Any]) -> Response:
    """Keep a link that was looked at again."""
    by, now = staff_of(request, *DESKS), timezone.now()
    require_fresh(request, now=now)
    link = _link(id)
    guardianship.renew(guardianship=link, by=by, now=now, **given)
    return Response(LinkShape(link).data)


@endpoint("POST", takes=Freezing, gives=LinkShape, scope="trust.write")
def desk_freeze(request: Request, id: int, given: dict[str, Any]) -> Response:
    """Stop a link at once, silently: tokens, notices, exports and persons let in stop in the same transaction."""
    by, now = staff_of(request, *DESKS), timezone.now()
    link = severing.freeze(guardianship_id=_link(id).pk, by=by, reason=FreezeReason(given["reason"]), now=now)
    return Response(LinkShape(link).data)


@endpoint("POST", gives=Released, scope="trust.write")
def desk_release(request: Request, id: int) -> Response:
    """One of the two who unfreeze; at the second the link stands again."""
    by, now = staff_of(request, *DESKS), timezone.now()
    require_fresh(request, now=now)
    return Response({"released": guardianship.release(guardianship=_link(id), by=by, now=now)})


@endpoint("POST", takes=Ending, gives=LinkShape, scope="trust.write")
def desk_end(request: Request, id: int, given: dict[str, Any]) -> Response:
    """End a link for good. Needs a fresh proof of who does it."""
    by, now = staff_of(request, *DESKS), timezone.now()
    require_fresh(request, now=now)
    link = severing.end(guardianship_id=_link(id).pk, by=by, reason=given["reason"], now=now)
    return Response(LinkShape(link).data)


@endpoint("POST", takes=Location, scope="trust.write", status=204)
def desk_location(request: Request, subject: UUID, given: dict[str, Any]) -> Response:
    """Hide, or show again, what tells where a person is. To show needs a fresh proof of who does it."""
    by, now = staff_of(request, *DESKS), timezone.now()
    if not given["hidden"]:
        require_fresh(request, now=now)
    protection.set_location(
        subject=known(subject), hidden=given["hidden"], reason=protection.Reason(given["reason"]), by=by, now=now
    )
    return Response(status=204)


@endpoint("GET", gives=ProtectionCaseShape(many=True))
def desk_cases(request: Request) -> Response:
    """Protection asked for by guardians, waiting for this desk."""
    by = staff_of(request, *DESKS)
    desk, own = by.organization, kin.records_of(by)
    assert desk is not None
    cases = [x for x in protection.open_cases(desk, now=timezone.now()) if x.subject_id not in own]
    read_at_desk(request, Event.PROTECTION_READ, [x.subject_id for x in cases], by=by, now=timezone.now())
    return Response([ProtectionCaseShape(x).data for x in cases])


@endpoint("POST", takes=Closing, scope="trust.write", status=204)
def desk_case_close(request: Request, id: int, given: dict[str, Any]) -> Response:
    """What became of a case."""
    by, now = staff_of(request, *DESKS), timezone.now()
    require_fresh(request, now=now)
    desk = by.organization
    assert desk is not None
    case = next((x for x in protection.open_cases(desk, now=now) if x.pk == id), None)
    if case is None or kin.is_kin(by, case.subject_id):
        raise Absent
    protection.close(case=case, outcome=protection.Outcome(given["outcome"]), by=by, now=now)
    return Response(status=204)


@endpoint("POST", scope="trust.write", status=204)
def desk_suspend(request: Request, id: int) -> Response:
    """Suspend a person's sign-in; the proxies made with it, and every token, stop in the same transaction (G-09)."""
    by, now = staff_of(request, *DESKS), timezone.now()
    require_fresh(request, now=now)
    found = Person.objects.filter(pk=id, is_active=True).first()
    if found is None or found.pk == by.pk:
        raise Absent
    severing.suspend_credential(person=found, by=by, now=now)
    return Response(status=204)


@endpoint("POST", scope="trust.write", status=204)
def desk_restore(request: Request, id: int) -> Response:
    """Let a person sign in again; her proxies wait until she confirms them. The dead are not restored."""
    by, now = staff_of(request, *DESKS), timezone.now()
    require_fresh(request, now=now)
    found = Person.objects.filter(pk=id, is_active=False).exclude(own_subject__died_on__isnull=False).first()
    if found is None:
        raise Absent
    proxies.restore_credential(person=found, by=by, now=now)
    return Response(status=204)


def known(subject: UUID) -> Subject:
    """A record a desk may speak of. Raises Absent."""
    found = Subject.objects.filter(pk=subject, state=Subject.State.ACTIVE).first()
    if found is None:
        raise Absent
    return found


def _link(id: int) -> Guardianship:
    found = Guardianship.objects.filter(pk=id).select_related("subject", "person").first()
    if found is None:
        raise Absent
    return found


urlpatterns = [
    path("desk/records/<uuid:subject>/guardianships", desk_links, name="desk-links"),
    path("desk/reviews", desk_reviews, name="desk-reviews"),
    path("desk/guardianships", desk_link, name="desk-link"),
    path("desk/guardianships/<int:id>/renew", desk_renew, name="desk-renew"),
    path("desk/guardianships/<int:id>/freeze", desk_freeze, name="desk-freeze"),
    path("desk/guardianships/<int:id>/release", desk_release, name="desk-release"),
    path("desk/guardianships/<int:id>/end", desk_end, name="desk-end"),
    path("desk/records/<uuid:subject>/location", desk_location, name="desk-location"),
    path("desk/persons/<int:id>/suspend", desk_suspend, name="desk-suspend"),
    path("desk/persons/<int:id>/restore", desk_restore, name="desk-restore"),
    path("desk/protection-cases", desk_cases, name="desk-cases"),
    path("desk/protection-cases/<int:id>/close", desk_case_close, name="desk-case-close"),
]
