"""What waited for its person goes into the record once she is linked; what waits in vain is let go."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from consent import protection
from integrations import accepting, authority, base, queue, taking
from integrations.models import LocalNumber, Unlinked, WaitingItem
from integrations.storing import Result, Source, store
from phr.records.gateway import Refused

AT_ONCE = 200  # Items brought in with the link itself; more, by a worker
State = Unlinked.State


def take_up(case: Unlinked, *, now: datetime, most: int = AT_ONCE) -> list[Result]:
    """Bring in what waits for a linked person, up to `most` Items, in the caller's transaction; more wakes a worker.

    What is refused is named in the problems of its run. Where the authority it came on no longer stands, it goes.
    """
    rows = list(WaitingItem.objects.select_for_update().filter(case=case).order_by("pk")[:most])
    results: list[Result] = []
    by_run: dict[object, list[WaitingItem]] = {}
    for row in rows:
        by_run.setdefault(row.run_id, []).append(row)
    for some in by_run.values():
        results += _stored(some, now=now)
    WaitingItem.objects.filter(pk__in=[row.pk for row in rows]).delete()
    if len(rows) == most:
        accepting.wake("integrations.tasks.take_up", str(case.pk))
    return results


def _stored(rows: list[WaitingItem], *, now: datetime) -> list[Result]:
    run, kind = rows[0].run, rows[0].kind
    assert run.organization is not None
    source = Source(
        feed=base.feed(kind), organization=run.organization, by=authority.caller_of(run), sha256=run.sha256, run=run,
        profile=run.profile,
    )  # fmt: skip
    case = rows[0].case
    if case.not_disclosed and case.number:  # said by a line that waited, and that another has replaced since
        subjects = [case.number.subject_id]
        protection.told(subjects=subjects, organization=run.organization, by=source.by, now=now)
    try:
        stored = store(source, [queue.opened(row) for row in rows], now=now)
    except Refused:
        return []
    locked = type(run).objects.select_for_update().get(pk=run.pk)
    locked.created += stored.created
    locked.updated += stored.updated
    locked.unmatched = max(0, locked.unmatched - len(rows))
    locked.refused_items += sum(result.what == "refused" for result in stored.results)
    found = [p.as_json() for result in stored.results for p in result.problems]
    locked.problems = [*locked.problems, *found][:300]
    locked.save(update_fields=["created", "updated", "unmatched", "refused_items", "problems"])
    return stored.results


def take_up_all(id: int, *, now: datetime) -> int:
    """As `take_up`, of one case to its end, in transactions of their own; returns how many Items."""
    done = 0
    while True:
        with transaction.atomic():
            cases = Unlinked.objects.select_for_update(of=("self",)).filter(pk=id, state=State.LINKED)
            case = cases.exclude(number__subject__state="locked").first()
            if case is None or not WaitingItem.objects.filter(case=case).exists():
                return done
            before = WaitingItem.objects.filter(case=case).count()
            take_up(case, now=now)
            done += before - WaitingItem.objects.filter(case=case).count()


def sweep(*, now: datetime) -> int:
    """Take up what was left behind, and let go what waited too long; returns how many cases were moved."""
    moved = 0
    limit = now - timedelta(days=settings.PHR_IMPORT_WAITING_DAYS)
    behind = WaitingItem.objects.filter(case__state=State.LINKED)
    behind.filter(since__lt=limit, case__number__subject__state="locked").delete()
    left = behind.exclude(case__number__subject__state="locked").values_list("case", flat=True).distinct()
    for case in list(left[:100]):
        moved += bool(take_up_all(case, now=now))
    for case in _linked_meanwhile(now=now):
        moved += bool(take_up_all(case, now=now))
    old = Unlinked.objects.filter(since__lt=limit, state=State.WAITING)
    for waited in list(old.order_by("pk")[:1000]):
        moved += _let_go(waited, now=now)
    return moved


def _linked_meanwhile(*, now: datetime) -> list[int]:
    """Cases of numbers that are linked by now: her record was locked, or her Patient came later."""
    found = []
    for case in Unlinked.objects.filter(state=State.WAITING).order_by("pk")[:1000]:
        number = LocalNumber.objects.filter(
            organization=case.organization_id, digest=case.digest, until=None, subject__state="active"
        ).first()
        if number:
            _join(case, number, now=now)
            found.append(case.pk)
    return found


@transaction.atomic
def _join(case: Unlinked, number: LocalNumber, *, now: datetime) -> None:
    """A case goes to the link there is by now; what it hides is hidden before anything of it is visible."""
    if case.not_disclosed:
        office = case.organization
        by = taking.caller_for(office, client="waiting")
        protection.told(subjects=[number.subject_id], organization=office, by=by, now=now)
    Unlinked.objects.filter(pk=case.pk, state=State.WAITING).update(state=State.LINKED, number=number, sealed=b"")


def _let_go(case: Unlinked, *, now: datetime) -> bool:
    """What nothing newer came for goes whole; where something did, only what is too old."""
    limit = now - timedelta(days=settings.PHR_IMPORT_WAITING_DAYS)
    WaitingItem.objects.filter(case=case, since__lt=limit).delete()
    if not WaitingItem.objects.filter(case=case).exists():
        case.delete()
        return True
    return False
