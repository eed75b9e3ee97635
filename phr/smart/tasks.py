"""Background work of the token endpoints."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from phr.smart import severing, sweep


@shared_task(name="phr.smart.tasks.forget_tokens")
def forget_tokens() -> int:
    """Remove what ended long ago; running it twice is harmless."""
    return sweep.forget(now=timezone.now())


@shared_task(name="phr.smart.tasks.come_of_age")
def come_of_age() -> int:
    """Tell, and do, what adulthood brings (G-16); running it twice, or late, is harmless."""
    return severing.catch_up(now=timezone.now())
