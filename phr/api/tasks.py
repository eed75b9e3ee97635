"""Background work of the trust: thin, each loads and calls one deed."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from phr.smart import leaving
from phr.trust import consents, erasing


@shared_task(name="phr.api.tasks.sweep_erasures", acks_late=True)
def sweep_erasures() -> int:
    """Erase the records whose time has come; returns how many. Running it twice, or being killed in it, is harmless."""
    return erasing.run_due(now=timezone.now(), forget=leaving.forget)


@shared_task(name="phr.api.tasks.sweep_consents", acks_late=True)
def sweep_consents() -> int:
    """Bring the Consents in the record in line with consents that ended on the side. Running it twice is harmless."""
    return consents.sweep(now=timezone.now())
