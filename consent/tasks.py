"""Background work of this app: thin, each loads and calls one deed."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from consent import heads
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
