"""What the import machinery lets go: originals whose days are over, and all it knows of somebody who was erased."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from consent.models import Subject
from integrations import dead_letters, holding, originals, waiting
from integrations.models import (
    ImportPart,
    ImportRun,
    KeptApart,
    KnownItem,
    LinkCode,
    LocalNumber,
    PeerDelivery,
    Unlinked,
)

MOST = 200  # of each at a time
LETTERS = timedelta(days=90)  # how long a dead letter that was decided stays


def sweep(*, now: datetime) -> int:
    """Do what is due; returns how much that was. Repeatable."""
    done = waiting.sweep(now=now) + originals.rewrap_all()  # after `rotate_keys`, before the old key is taken away
    for pk in list(_over(now)):
        done += _let_go(pk, now=now)
    for subject in list(_erased()):
        done += forget(subject, now=now)
    return done + dead_letters.forget(before=now - LETTERS)


def _over(now: datetime) -> list[UUID]:
    has = Q(subject=None, wrapped__isnull=False) | Q(Exists(ImportPart.objects.filter(run=OuterRef("pk"))))
    rows = ImportRun.objects.filter(has, original_until__lte=now)
    return list(rows.exclude(finished_at=None).order_by("original_until").values_list("pk", flat=True)[:MOST])


@transaction.atomic
def _let_go(run: UUID, *, now: datetime) -> bool:
    held = ImportRun.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=run).first()
    if held is None or held.original_until is None or held.original_until > now:
        return False
    holding.let_go(held, now=now)
    return True


def _erased() -> list[UUID]:
    """Erased persons of whom something is still known here."""
    hers = {"subject": OuterRef("pk")}
    known = Q(Exists(LocalNumber.objects.filter(**hers))) | Q(Exists(KnownItem.objects.filter(**hers)))
    known |= Q(Exists(LinkCode.objects.filter(**hers))) | Q(Exists(KeptApart.objects.filter(**hers)))
    return list(Subject.objects.filter(known, state=Subject.State.ERASED).values_list("pk", flat=True)[:MOST])


@transaction.atomic
def forget(subject: UUID, *, now: datetime) -> int:
    """Everything kept here of an erased person goes, and every original that may hold her lines.

    Those are the originals of the organisations that knew a number of hers; an open one goes with the end of its run.
    Returns how many originals went.
    """
    numbers = list(LocalNumber.objects.select_for_update().filter(subject=subject).order_by("pk"))
    items = KnownItem.objects.filter(subject=subject)
    KeptApart.objects.filter(subject=subject).delete()
    offices = {number.organization_id for number in numbers} | set(items.values_list("organization", flat=True))
    for number in numbers:
        same = Unlinked.objects.filter(organization=number.organization_id, digest=number.digest)
        same.delete()  # what waits for her goes with it
    items.delete()
    LocalNumber.objects.filter(pk__in=[number.pk for number in numbers]).delete()
    LinkCode.objects.filter(subject=subject).delete()
    PeerDelivery.objects.filter(subject=subject).delete()  # what else peers know her by has gone with the numbers
    runs = ImportRun.objects.select_for_update(of=("self",)).filter(
        organization__in=offices, subject=None, wrapped__isnull=False
    )
    gone = 0
    for run in runs.order_by("pk"):
        if run.finished_at and run.state != ImportRun.State.REPORTED:
            holding.let_go(run, now=now)
            gone += 1
        else:
            run.original_until = now
            run.save(update_fields=["original_until"])
    return gone
