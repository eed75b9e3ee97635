"""Background work of this app: thin, each loads and calls one deed."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from consent import benefits, heads, overdue, provider_records, watch
from consent.sealing import seal
from consent.signing import signing_key


@shared_task
def seal_audit() -> int:
    """Seal all that is due, and publish the heads; returns how many batches. Running twice at once is harmless."""
    key, batches = signing_key(settings.PHR_AUDIT_KEY), 0
    while seal(now=timezone.now(), key=key):
        batches += 1
    heads.publish(now=timezone.now())
    return batches


@shared_task
def sweep_provisions() -> int:
    """End what stands on nothing, suspend who is late, show programs that gave nothing back. Returns how many ended."""
    now = timezone.now()
    ended = overdue.sweep(now=now).ended
    benefits.flag_missing(now=now)
    return ended


@shared_task
def discard_provider_records() -> int:
    """Let records of giving and of receiving go that have been kept for their three years; returns how many."""
    now = timezone.now()
    return provider_records.discard_old(now=now) + provider_records.discard_old_confirmations(now=now)


@shared_task
def watch_refusals() -> int:
    """Bring before the operator who was turned away unusually often in the last hour; returns how many."""
    return watch.look(now=timezone.now())
