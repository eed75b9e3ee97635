"""In which role a person may act, and the launch that binds a token to one of them (G-17).

A launch names actor, subject and capacity; a token is never about two children.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q

from consent.decide import Caller, Capacity, Permit, decide, entitled
from consent.in_force import in_force_between, in_force_for
from consent.models import EffectiveGrant, Guardianship, Organization, Person, Subject
from consent.scope import Door, Purpose
from consent.stopping import stops
from phr.smart.models import Application, Launch
from phr.smart.scopes import REFRESH, TRUST, needs_patient, split

SYSTEM_LIFE = timedelta(seconds=300)
PERSON_LIFE = timedelta(minutes=15)
OFFLINE_LIFE = timedelta(days=30)  # the absolute cap of a refresh family
ONLINE_LIFE = timedelta(hours=12)

# What an organisation of a kind may sign for; the first is what it means when it signs nothing.
_CARE = (Purpose.TREAT, Purpose.ETREAT, Purpose.HPAYMT, Purpose.HOPERAT)
PURPOSES: dict[str, tuple[Purpose, ...]] = {
    Organization.Kind.CLINIC: _CARE,
    Organization.Kind.HOSPITAL: _CARE,
    Organization.Kind.PHARMACY: _CARE,
    Organization.Kind.MUNICIPALITY: (Purpose.PUBHLTH,),
    Organization.Kind.SCHOOL: (Purpose.PUBHLTH,),
    Organization.Kind.AMBULANCE: (Purpose.ETREAT,),
    Organization.Kind.RESEARCH: (Purpose.HRESCH,),
    Organization.Kind.OPERATOR: (Purpose.HOPERAT,),
}


@dataclass(frozen=True, slots=True)
class Proof:
    """How somebody proved who she is: the level (`phr.smart.step_up.LEVELS`), and when she last did."""

    acr: str = ""
    at: datetime | None = None


UNPROVED = Proof()


@dataclass(frozen=True, slots=True)
class Role:
    """One thing a person may act as. `key` is what the picker's form sends back; it is checked again."""

    key: str
    capacity: Capacity
    purpose: Purpose
    subject: UUID | None = None
    birth_on: date | None = None
    guardianship: int | None = None
    organization: Organization | None = None


def roles_for(person: Person, scopes: tuple[str, ...], *, now: datetime) -> tuple[Role, ...]:
    """Every role these scopes allow this person: herself, each child, each record granted to her, her office.

    Without a record of any kind she may still act as nobody's proxy, unless a patient is needed;
    the decision will refuse everything.
    """
    bound = (*_own(person, now), *_children(person, now), *_granted(person, now))
    if needs_patient(scopes):
        return bound
    free = (*bound, *_office(person))
    return free or (Role("none", Capacity.PROXY, Purpose.FAMRQT),)


def _own(person: Person, now: datetime) -> Iterator[Role]:
    subject = person.own_subject
    if subject is not None and acts(person, subject.id, now=now) is Capacity.SELF:
        yield Role("self", Capacity.SELF, Purpose.PATRQT, subject.id, subject.birth_on)


def _children(person: Person, now: datetime) -> Iterator[Role]:
    links = Guardianship.objects.filter(
        person=person, state=Guardianship.State.ACTIVE, subject__state=Subject.State.ACTIVE
    ).select_related("subject")
    for link in links.order_by("subject__birth_on", "id"):
        if acts(person, link.subject_id, now=now) is Capacity.GUARDIAN:
            yield Role(
                f"guardian-{link.pk}",
                Capacity.GUARDIAN,
                Purpose.FAMRQT,
                link.subject_id,
                link.subject.birth_on,
                link.pk,
            )


def _granted(person: Person, now: datetime) -> Iterator[Role]:
    """Records whose owner or guardian granted this person something (G-18)."""
    rows = EffectiveGrant.objects.filter(
        Q(valid_from=None) | Q(valid_from__lte=now), Q(valid_to=None) | Q(valid_to__gt=now),
        grantee=f"person:{person.pk}", permit=True, subject__state=Subject.State.ACTIVE,
    )  # fmt: skip
    for subject, birth_on in rows.values_list("subject_id", "subject__birth_on").distinct().order_by("subject_id"):
        yield Role(f"proxy-{subject}", Capacity.PROXY, Purpose.FAMRQT, subject, birth_on)


def _office(person: Person) -> Iterator[Role]:
    office = person.organization
    if office is not None and office.state == Organization.State.ACTIVE:
        yield Role("staff", Capacity.STAFF, PURPOSES[office.kind][0], organization=office)


def acts(person: Person, subject: UUID, *, now: datetime) -> Capacity | None:
    """The capacity in which a person acts for a record now, by the decision's own rules: self, guardian or none."""
    return entitled(in_force_between(person.pk, subject, now=now), now)


def begin(
    *, application: Application, by: Person, role: Role, scope: str, proof: Proof = UNPROVED, encounter: str = "",
    context: Mapping[str, Any] | None = None, now: datetime,
) -> Launch:  # fmt: skip
    """Open the launch a person agreed to. `proof`: how well, and when, she had proved who she is.

    `context`: what an EHR told beside patient and encounter; it goes into the token response as it stands.
    """
    return Launch.objects.create(
        application=application, person=by, organization=role.organization, subject_id=role.subject,
        guardianship_id=role.guardianship, capacity=role.capacity, purpose=role.purpose, scope=scope,
        acr=proof.acr, authenticated_at=proof.at, encounter=encounter, context=dict(context or {}),
        created_at=now, ends_at=now + life(scope),
    )  # fmt: skip


def begin_system(
    *, application: Application, purpose: str, scope: str, business: Mapping[str, Any] | None = None, now: datetime
) -> Launch:
    """Open the launch of one system token: the client acts for its organisation. `business`: what it signed."""
    return Launch.objects.create(
        application=application, organization=application.organization, capacity=Capacity.SYSTEM,
        purpose=purpose, scope=scope, business=dict(business or {}), created_at=now, ends_at=now + SYSTEM_LIFE,
    )  # fmt: skip


def life(scope: str) -> timedelta:
    """How long a person's launch lasts at most, refreshes included."""
    asked = REFRESH & set(split(scope))
    if "offline_access" in asked:
        return OFFLINE_LIFE
    return ONLINE_LIFE if asked else PERSON_LIFE


def stands(launch: Launch, *, now: datetime) -> bool:
    """Whether the launch and everything it rests on is still good; a frozen link looks like none (G-07)."""
    if launch.revoked_at is not None or launch.ends_at <= now or not launch.application.is_active:
        return False
    if launch.person is not None and not launch.person.is_active:
        return False
    if launch.organization is not None and launch.organization.state != Organization.State.ACTIVE:
        return False
    if launch.subject is not None and launch.subject.state != Subject.State.ACTIVE:
        return False
    return _right_stands(launch, now)


def opens(launch: Launch, *, now: datetime) -> bool:
    """Whether a token of this launch still opens something: it stands, and the decision would let it in now.

    What a person's token rests on may have been withdrawn a moment ago (a Grant, a Guardianship). A token that
    opens the trust's API as well is of use without any record.
    """
    if not stands(launch, now=now):
        return False
    if launch.subject_id is None and TRUST & set(launch.scope.split()):
        return True
    caller = Caller(
        client=launch.application.client_id, capacity=Capacity(launch.capacity), purpose=launch.purpose,
        doors=(Door("*", "rs"),), person=launch.person_id, organization=launch.organization_id,
        subject=launch.subject_id,
    )  # fmt: skip
    if launch.subject is not None and caller.capacity is Capacity.PROXY and stops(launch.subject):
        return False  # there is a permit still, and nothing that it permits
    return isinstance(decide(caller, in_force_for(caller, now=now), now), Permit)


def _right_stands(launch: Launch, now: datetime) -> bool:
    if launch.person is None:
        return True
    capacity = Capacity(launch.capacity)
    if capacity is Capacity.STAFF:  # with a patient or without: who has left the office has left this behind
        return launch.person.organization_id == launch.organization_id
    if launch.subject_id is None:
        return True
    if capacity in (Capacity.SELF, Capacity.GUARDIAN):
        return acts(launch.person, launch.subject_id, now=now) is capacity
    if capacity is Capacity.PROXY:
        return in_force_between(launch.person.pk, launch.subject_id, now=now).grants
    return launch.person.organization_id == launch.organization_id


def end(launch: Launch, *, now: datetime) -> bool:
    """End a launch: every token of it stops at commit. False if it had ended before."""
    return bool(Launch.objects.filter(pk=launch.pk, revoked_at=None).update(revoked_at=now))


def context_of(launch: Launch) -> dict[str, Any]:
    """What a token response tells beside the token (SMART App Launch 2.2, section 2.1.5.1)."""
    told: dict[str, Any] = {}
    if launch.subject_id:
        told = {"patient": str(launch.subject_id), "need_patient_banner": True}
    if launch.encounter:
        told["encounter"] = launch.encounter
    return told | launch.context


# RFC 8176: how, as far as the level tells.
_AMR = {"aal1": ["pwd"], "aal2": ["mfa"], "aal3": ["sc", "mfa"]}


def proof_claims(launch: Launch) -> dict[str, Any]:
    """`acr`, `amr`, `auth_time` of the ID token; only what is known."""
    told: dict[str, Any] = {"acr": launch.acr, "amr": _AMR.get(launch.acr, [])} if launch.acr else {}
    if launch.authenticated_at:
        told["auth_time"] = int(launch.authenticated_at.timestamp())
    return told


def fhir_user(launch: Launch, base: str) -> str:
    """The `fhirUser` claim: self = Patient, guardian = RelatedPerson (G-17), staff = Practitioner, else Person."""
    match Capacity(launch.capacity):
        case Capacity.SELF if launch.subject_id:
            return f"{base}/Patient/{launch.subject_id}"
        case Capacity.GUARDIAN:
            return f"{base}/RelatedPerson/guardianship-{launch.guardianship_id}"
        case Capacity.STAFF:
            return f"{base}/Practitioner/person-{launch.person_id}"
    return f"{base}/Person/person-{launch.person_id}"
