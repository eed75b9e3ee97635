"""How often one may try: counted in the database, so that every process counts together and a restart forgets nothing.

A try is counted before it is looked at and taken back when it succeeds; so two at the same moment count both. A try
that is refused here is not counted: nobody can keep another's door shut for longer than the window by knocking on.
What is counted is hashed with a key. Sources: OWASP ASVS 5.0 6.3.1; NIST SP 800-63B-4 §3.2.2; RFC 6585 §4.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

from phr.smart.login_models import SignInFailure
from phr.smart.sealed import blind


class Door(StrEnum):
    """What is tried."""

    PASSWORD = "password"
    CODE = "code"  # a one-time password or a recovery code, after the password
    PASSKEY = "passkey"
    RECOVERY = "recovery"
    TOKEN = "token"  # the token endpoint
    AUTHORIZE = "authorize"  # every request counts: each keeps a row
    CARD = "card"


@dataclass(frozen=True, slots=True)
class Limit:
    most: int
    window: timedelta


_QUARTER, _HOUR, _DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)

# Per thing counted. An address is a household, a clinic or a whole provider: it gets more than one name does.
LIMITS: dict[tuple[Door, str], tuple[Limit, ...]] = {
    (Door.PASSWORD, "name"): (Limit(10, _QUARTER),),
    (Door.PASSWORD, "device"): (Limit(10, _QUARTER),),
    (Door.PASSWORD, "address"): (Limit(100, _QUARTER),),
    (Door.CODE, "name"): (Limit(5, _QUARTER), Limit(20, _DAY)),
    (Door.CODE, "address"): (Limit(50, _QUARTER),),
    (Door.PASSKEY, "address"): (Limit(30, _QUARTER),),
    # Not by name: the code is 80 random bits, and whoever keeps guessing would only keep her from using it.
    (Door.RECOVERY, "address"): (Limit(20, _HOUR),),
    (Door.TOKEN, "client"): (Limit(30, timedelta(minutes=1)),),  # of one address: others' noise costs a client nothing
    (Door.TOKEN, "address"): (Limit(120, timedelta(minutes=1)),),
    (Door.AUTHORIZE, "address"): (Limit(300, timedelta(minutes=5)),),
    (Door.CARD, "address"): (Limit(30, _QUARTER),),
}
LONGEST = max(limit.window for limits in LIMITS.values() for limit in limits)


class TooMany(Exception):
    """Not now: `wait` seconds until the next try is looked at."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"too many attempts; wait {wait} s")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Attempt:
    """A counted try: the rows that count it, and the hash of what a success clears."""

    rows: tuple[int, ...]
    clears: bytes | None


def begin(door: Door, *, now: datetime, **about: str) -> Attempt:
    """Count a try about these things (name, device, address, client). Raises TooMany, counting nothing."""
    digests = {kind: blind("attempt", door, kind, value.strip().casefold()) for kind, value in about.items()}
    rows = SignInFailure.objects.bulk_create(SignInFailure(digest=digest, failed_at=now) for digest in digests.values())
    made = tuple(row.pk for row in rows)
    wait = max(_wait(digests[kind], limit, now) for kind in digests for limit in LIMITS[door, kind])
    if wait:
        SignInFailure.objects.filter(pk__in=made).delete()
        raise TooMany(wait)
    return Attempt(made, digests.get("device") or digests.get("name"))


def _wait(digest: bytes, limit: Limit, now: datetime) -> int:
    """Seconds until fewer than `most` lie in the window; 0 = now. The try itself is among them."""
    since = now - limit.window
    times = SignInFailure.objects.filter(digest=digest, failed_at__gt=since).order_by("-failed_at", "-pk")
    oldest = times.values_list("failed_at", flat=True)[limit.most : limit.most + 1].first()
    return 0 if oldest is None else max(1, int((oldest + limit.window - now).total_seconds()) + 1)


def succeeded(attempt: Attempt) -> None:
    """Take the try back, and forget the failures of this name (or device); those of the address stay."""
    SignInFailure.objects.filter(pk__in=attempt.rows).delete()
    if attempt.clears is not None:
        SignInFailure.objects.filter(digest=attempt.clears).delete()


def address_of(request: HttpRequest) -> str:
    """Where a request comes from: of IPv6 the network a household gets (/64). Behind our proxy, what that one saw."""
    seen: str = request.META.get("REMOTE_ADDR", "")
    if settings.SECURE_PROXY_SSL_HEADER:
        seen = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip() or seen
    try:
        address = ip_address(seen.partition("%")[0])
    except ValueError:
        return "unknown"
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else str(address)
