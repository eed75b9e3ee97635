"""Background work of the token endpoints."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from phr.smart import sweep


@shared_task(name="phr.smart.tasks.forget_tokens")
def forget_tokens() -> int:
    """Remove what ended long ago; running it twice is harmless."""
    return sweep.forget(now=timezone.now())
