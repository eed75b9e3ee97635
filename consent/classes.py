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
def enter(*, recipient: Recipient, by: Person, now: datetime) -> datetime:
    """Let a registered recipient enter the class of its kind. Returns from when on the class counts for it.

    Everybody with an active permit to that class is told, in this transaction. Raises Refusal: not the operator's
    staff, entered already, not in order.
    """
    operator(by)
    organization = Organization.objects.select_for_update().get(pk=recipient.organization_id)
    if organization.class_from is not None:
        raise Refusal("すでに区分に入っています / it is in its class already", because=Because.CONFLICT)
    if recipient.state != Recipient.State.ACTIVE:
        raise Refusal("停止中の提供先です / the recipient is not active", because=Because.CONFLICT)
    organization.class_from = now + WAIT
    organization.save(update_fields=["class_from"])
    detail: audit.Detail = {
        "organization": organization.pk, "recipient": recipient.pk, "kind": organization.kind,
        "until": organization.class_from.isoformat(),
    }  # fmt: skip
    for subject in concerned(organization.kind, now=now):
        family = notices.family_of(subject, now=now)
        notices.tell(notices.Kind.CLASS_ENTERED, to=family, subject=subject.pk, now=now, detail=detail)
    audit.record(Event.CLASS_ENTERED, by=by, now=now, detail=detail)
    return organization.class_from


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
