"""A recipient enters a class that people permitted as a whole (IT-03): they are told, and it waits a week.

Until `Organization.class_from` its class name does not count for it. Stopping it in the waiting week is a deny
that names it: one tap, and nothing ever reaches it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from consent import audit, notices
from consent.audit import Event
from consent.desk import operator
from consent.models import EffectiveGrant, Grant, Organization, Person, Recipient, Subject
from consent.refusal import Because, Refusal

WAIT = timedelta(days=7)


@transaction.atomic
def enter(*, organization: Organization, by: Person, now: datetime) -> datetime:
    """Let an organisation enter the class of its kind. Returns from when on the class counts for it.

    Everybody with an active permit to that class is told, in this transaction. Raises Refusal: not the operator's
    staff, entered already, not in order (nor its contract, where it has one with the trust).
    """
    operator(by)
    current = Organization.objects.select_for_update().get(pk=organization.pk)
    recipient = Recipient.objects.filter(organization=current).first()
    if current.class_from is not None:
        raise Refusal("すでに区分に入っています / it is in its class already", because=Because.CONFLICT)
    if current.state != Organization.State.ACTIVE or (recipient and recipient.state != Recipient.State.ACTIVE):
        raise Refusal("停止中です / it is not active", because=Because.CONFLICT)
    since = now + WAIT
    current.class_from = organization.class_from = since
    current.save(update_fields=["class_from"])
    detail: audit.Detail = {"organization": current.pk, "kind": current.kind, "until": since.isoformat()}
    for subject in concerned(current.kind, now=now):
        family = notices.family_of(subject, now=now)
        notices.tell(notices.Kind.CLASS_ENTERED, to=family, subject=subject.pk, now=now, detail=detail)
    audit.record(Event.CLASS_ENTERED, by=by, now=now, detail=detail)
    return since


def concerned(kind: str, *, now: datetime) -> list[Subject]:
    """Whose records a permit to this class is in force for, or will be."""
    permits = EffectiveGrant.objects.filter(permit=True, grantees__contains=[f"class:{kind}"])
    rows = permits.exclude(valid_to__lte=now).values("subject_id")
    asking = Grant.objects.filter(state=Grant.State.ACTIVE, ask=True).only("subject_id", "root")
    named = {g.subject_id for g in asking if _names(g.root, f"class:{kind}")}
    return list(Subject.objects.filter(pk__in=rows).union(Subject.objects.filter(pk__in=named)).order_by("pk"))


def _names(root: object, actor: str) -> bool:
    if isinstance(root, dict):
        return actor in root.get("actors", ()) or _names(root.get("clauses"), actor)
    return isinstance(root, list) and any(_names(one, actor) for one in root)
