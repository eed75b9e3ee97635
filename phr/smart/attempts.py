"""Wrong passwords, counted in the database so that every web process counts together (ASVS 2.2.1)."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

from phr.smart.login_models import SignInFailure

MOST = 10
WINDOW = timedelta(minutes=15)


def too_many(name: str, *, now: datetime) -> bool:
    """Whether this name has failed so often lately that its password is not even looked at."""
    return SignInFailure.objects.filter(digest=_digest(name), failed_at__gt=now - WINDOW).count() >= MOST


def failed(name: str, *, now: datetime) -> None:
    """Count one failure; forget those out of the window."""
    SignInFailure.objects.filter(failed_at__lte=now - WINDOW).delete()
    SignInFailure.objects.create(digest=_digest(name), failed_at=now)


def forget(name: str) -> None:
    """The right password clears the count."""
    SignInFailure.objects.filter(digest=_digest(name)).delete()


def _digest(name: str) -> bytes:
    return sha256(name.strip().casefold().encode("utf-8", "replace")).digest()
