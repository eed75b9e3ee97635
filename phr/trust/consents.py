"""Consents in the record: every Grant also stands there as a Consent, kept in step with it.

The Grant is the truth. Deeds that doors reach go through here, so that the Consent is written in the same
transaction; what ends on the side (a freeze, coming of age) `sweep` brings in line. A Consent is written by the
trust itself, as the family's: which guardian gave it does not show (G-05).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

from django.db import transaction
from django.db.models import F, QuerySet

from consent import fhir_consent_out, grants, proposals, stopping
from consent.asking import Caller, Capacity
from consent.clauses import Malformed, clause_from_json
from consent.decide import Permit
from consent.fhir_consent import Directory
from consent.models import Grant, Organization, Person, Subject
from consent.narrowing import Without
from consent.reasons import Rule
from consent.receipts import Terms, terms_of
from consent.scope import Basis, Clause, Door, Purpose, Scope
from phr.records import body
from phr.records.gateway import NotFound, Records
from phr.records.store import Stored
from phr.trust import consent_parts

P = ParamSpec("P")
R = TypeVar("R")
CLIENT = "trust"
STATUS = {
    Grant.State.PROPOSED: "proposed", Grant.State.ACTIVE: "active", Grant.State.PAUSED: "inactive",
    Grant.State.INACTIVE: "inactive",
}  # fmt: skip
BATCH = 500


# -- deeds -----------------------------------------------------------------------------------------


def _accountable(deed: Callable[P, R]) -> Callable[P, R]:
    """A deed in one transaction; its refusal stays on the log when all of it is undone."""

    @wraps(deed)
    def done(*args: P.args, **told: P.kwargs) -> R:
        grant, by, now = told.get("grant"), told["by"], told["now"]
        about = grant.subject if isinstance(grant, Grant) else told["subject"]
        assert isinstance(about, Subject)
        assert isinstance(by, Person)
        assert isinstance(now, datetime)
        number = grant.pk if isinstance(grant, Grant) else None
        with grants.accountably(about.pk, by=by, now=now, grant=number):
            return deed(*args, **told)

    return done


@_accountable
def give(
    *,
    subject: Subject,
    root: Clause,
    by: Person,
    capacity: str,
    now: datetime,
    supersedes: Grant | None = None,
    terms: Terms | None = None,
    ask: bool = False,
) -> Grant:
    """`grants.give`, and its Consent. Raises what it raises."""
    made = grants.give(
        subject=subject, root=root, by=by, capacity=capacity, now=now, supersedes=supersedes, terms=terms, ask=ask
    )
    _keep_in_step(made, by, now)
    return made


@_accountable
def withdraw(*, grant: Grant, by: Person, reason: str, now: datetime) -> None:
    """`grants.withdraw`, and its Consent. Raises what it raises."""
    grants.withdraw(grant=grant, by=by, reason=reason, now=now)
    _keep_in_step(grant, by, now)


@_accountable
def withdraw_part(*, grant: Grant, without: Without, by: Person, reason: str, now: datetime) -> Grant | None:
    """`grants.withdraw_part`, and its Consent. Raises what it raises."""
    rest = grants.withdraw_part(grant=grant, without=without, by=by, reason=reason, now=now)
    _keep_in_step(rest or grant, by, now)
    return rest


@_accountable
def pause(*, grant: Grant, by: Person, now: datetime) -> None:
    """`stopping.pause`, and its Consent. Raises what it raises."""
    stopping.pause(grant=grant, by=by, now=now)
    _keep_in_step(grant, by, now)


@_accountable
def resume(*, grant: Grant, by: Person, now: datetime) -> None:
    """`stopping.resume`, and its Consent. Raises what it raises."""
    stopping.resume(grant=grant, by=by, now=now)
    _keep_in_step(grant, by, now)


@_accountable
def stop_everything(*, subject: Subject, by: Person, capacity: str, now: datetime) -> Grant:
    """`stopping.stop_everything`, and its Consent. Raises what it raises."""
    made = stopping.stop_everything(subject=subject, by=by, capacity=capacity, now=now)
    _keep_in_step(made, by, now)
    return made


@_accountable
def resume_everything(*, subject: Subject, by: Person, now: datetime) -> list[Grant]:
    """`stopping.resume_everything`, and the Consents. Returns the stops of others that still stand."""
    before = stopping.stops(subject)
    rest = stopping.resume_everything(subject=subject, by=by, now=now)
    for grant in before:
        _keep_in_step(grant, by, now)
    return rest


@_accountable
def accept(*, grant: Grant, by: Person, capacity: str, now: datetime, terms: Terms | None = None) -> Grant:
    """`proposals.accept`: the person's own Consent stands beside the one that was sent, which is inactive now."""
    made = proposals.accept(grant=grant, by=by, capacity=capacity, now=now, terms=terms)
    _keep_in_step(made, by, now)
    grant.refresh_from_db()
    _keep_in_step(grant, by, now)
    return made


@_accountable
def reject(*, grant: Grant, by: Person, now: datetime) -> None:
    """Say no to a proposal."""
    grants.withdraw(grant=grant, by=by, reason="rejected", now=now)
    _keep_in_step(grant, by, now)


@contextmanager
def followed(subject: Subject, *, by: Person, now: datetime) -> Iterator[None]:
    """Around deeds on a record that may end or begin consents elsewhere: its Consents follow in their transaction."""
    with grants.accountably(subject.pk, by=by, now=now):
        yield
        for grant in _behind().filter(subject=subject).order_by("pk"):
            _keep_in_step(grant, by, now)


def _keep_in_step(changed: Grant, by: Person, now: datetime) -> None:
    """The Consent of this Grant, and of the one it superseded."""
    grant = Grant.objects.select_related("subject", "supersedes").get(pk=changed.pk)
    own = by.own_subject_id == grant.subject_id
    caller = Caller(
        client=CLIENT, capacity=Capacity.SELF if own else Capacity.GUARDIAN,
        purpose=Purpose.PATRQT if own else Purpose.FAMRQT, doors=DOORS, person=by.pk, subject=grant.subject_id,
    )  # fmt: skip
    place(grant, caller, now=now)
    changed.consent_id, changed.projected = grant.consent_id, grant.projected
    old = grant.supersedes
    if old is not None and grant.state == Grant.State.ACTIVE and old.consent_id != grant.consent_id:
        place(old, caller, now=now)


# -- the Consent in the record ---------------------------------------------------------------------

DOORS = (Door("Consent", "cruds"), Door("Organization", "r"))


def trusted(caller: Caller, *, now: datetime) -> Records:
    """The Consents of one record, as the trust keeps them for whoever did the deed; asked by no rule of the door."""
    assert caller.subject is not None
    ground = Basis(Rule.THE_TRUST, caller.subject, letters="cruds", beats_deny=True)
    scope = Scope(DOORS, (ground,), caller.actors, caller.purpose, now, subjects=frozenset({caller.subject}))
    return Records(caller, Permit(scope, ()), now=now)


def place(grant: Grant, caller: Caller, *, now: datetime) -> None:
    """Write the Consent of a Grant as it stands now; nothing where it says so already."""
    if grant.subject.state != Subject.State.ACTIVE:
        return
    if not grant.consent_id:
        grant.consent_id = _id_for(grant)
    records = trusted(caller, now=now)
    if _newest(grant):
        standing = _standing(records, grant.consent_id)
        told = projection(grant, standing)
        if standing is None:
            records.create_all([told], keep_ids=True)
        elif not standing.deleted:
            records.update("Consent", grant.consent_id, told)
    grant.projected = grant.state
    grant.save(update_fields=["consent_id", "projected"])
    Grant.objects.filter(consent_id=grant.consent_id, pk__lt=grant.pk).update(projected=F("state"))


def _id_for(grant: Grant) -> str:
    """A version goes on under the Consent of the one before, unless that is another's, or still stands."""
    old = grant.supersedes
    if old is not None and old.consent_id and old.given_by_id and grant.state != Grant.State.PROPOSED:
        return old.consent_id
    return str(uuid4())


def _newest(grant: Grant) -> bool:
    return not Grant.objects.filter(subject=grant.subject_id, consent_id=grant.consent_id, pk__gt=grant.pk).exists()


def _standing(records: Records, id: str) -> Stored | None:
    try:
        return records._current("Consent", id, letter="r", lock=True)  # noqa: SLF001 (told to nobody, so not logged)
    except NotFound:
        return None


def projection(grant: Grant, standing: Stored | None = None) -> dict[str, Any]:
    """The Consent of a Grant beside the one that stands."""
    return projected(grant, body.parse(standing.body) if standing is not None and standing.body else None)


def projected(grant: Grant, written: Mapping[str, Any] | None) -> dict[str, Any]:
    """The Consent of a Grant. One that is only proposed, or cannot be read, stays as it was written but for its status.

    `written`: what the client wrote, of which the identifiers stay.
    """
    try:
        root = clause_from_json(grant.root)
    except Malformed:
        root = None
    proposal = grant.capacity == ""
    if written is not None and (root is None or proposal):
        return {**written, "status": _status(grant)}
    if root is None:  # nothing was written by anybody: a deny to all third parties is what it amounts to
        root = stopping.STOP
    return fhir_consent_out.consent(
        root, directory(grants.actors_of(root), names=grant.terms.get("names", {})), id=grant.consent_id,
        subject=grant.subject_id, status=_status(grant), capacity=grant.capacity, given_at=grant.given_at,
        ask=grant.ask, extension=consent_parts.extension(terms_of(grant.terms)), kept=written,
    )  # fmt: skip


def _status(grant: Grant) -> str:
    if grant.state == Grant.State.INACTIVE and grant.ended_reason == "rejected":
        return "rejected"
    return STATUS[Grant.State(grant.state)]


def directory(actors: Iterable[str], *, names: Mapping[str, str]) -> Directory:
    """The organisations among these actors, by their codes. Of persons no name leaves the trust by this way."""
    named = {int(actor[4:]) for actor in actors if actor.startswith("org:")}
    codes = dict(Organization.objects.filter(pk__in=named).values_list("code", "pk"))
    return Directory(codes=codes, names={a: n for a, n in names.items() if a.startswith("org:")})


# -- what ended on the side ------------------------------------------------------------------------


def sweep(*, now: datetime) -> int:
    """Bring Consents in line with Grants that changed elsewhere. Running it twice is harmless. Returns how many."""
    count = 0
    for pk in _behind().order_by("pk").values_list("pk", flat=True)[:BATCH]:
        count += _bring_in_line(pk, now)
    return count


def _behind() -> QuerySet[Grant]:
    """Grants whose Consents tell another state; not those that ended before they had one."""
    behind = Grant.objects.exclude(projected=F("state")).filter(subject__state=Subject.State.ACTIVE)
    return behind.exclude(state=Grant.State.INACTIVE, consent_id="")


@transaction.atomic
def _bring_in_line(pk: int, now: datetime) -> bool:
    subject = Subject.objects.select_for_update().get(grants=pk)
    grant = Grant.objects.select_for_update(of=("self",)).select_related("subject", "supersedes").get(pk=pk)
    if grant.projected == grant.state or subject.state != Subject.State.ACTIVE:
        return False
    caller = Caller(
        client=CLIENT, capacity=Capacity.SYSTEM, purpose=Purpose.PATRQT, doors=DOORS, subject=grant.subject_id
    )
    place(grant, caller, now=now)
    return True
