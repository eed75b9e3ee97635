"""Tidying: rows that no longer open anything. What a token may do never waits for this (the log keeps its story)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from phr.smart.login_models import KnownDevice, SignInFailure, UsedChallenge
from phr.smart.models import AuthorizationRequest, IDToken, Launch, LaunchContext, UsedAssertion
from phr.smart.quota_models import AppWrites

KEPT = timedelta(days=31)  # an ended launch stays this long, so that a replayed code or refresh token is known
BATCH = 5000  # launches removed at a time


def forget(*, now: datetime) -> int:
    """Remove launches ended for a month, with their tokens and codes, and short-lived rows. Returns the launches."""
    UsedAssertion.objects.filter(expires_at__lt=now).delete()
    LaunchContext.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()
    AuthorizationRequest.objects.filter(created_at__lt=now - timedelta(days=1)).delete()
    SignInFailure.objects.filter(failed_at__lt=now - timedelta(days=1)).delete()
    AppWrites.objects.filter(minute__lt=now - timedelta(days=2)).delete()
    KnownDevice.objects.filter(ends_at__lt=now).delete()
    UsedChallenge.objects.filter(ends_at__lt=now).delete()
    with transaction.atomic():
        ended = list(Launch.objects.filter(ends_at__lt=now - KEPT).values_list("pk", flat=True)[:BATCH])
        Launch.objects.filter(pk__in=ended).delete()
        IDToken.objects.filter(expires__lt=now - KEPT).delete()
    return len(ended)
