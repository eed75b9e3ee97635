"""How well, and how lately, somebody must have proved who she is before a deed of weight.

Levels are those of NIST SP 800-63: aal1 password, aal2 passkey or password and TOTP, aal3 the national card.
Sources: OpenID Connect Core §2 (acr, auth_time), §3.1.2.1 (acr_values, max_age); RFC 9470 (the challenge to apps).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest

LEVELS = ("aal1", "aal2", "aal3")
FRESH = timedelta(minutes=5)
LEAST = timedelta(minutes=1)


class StepUpNeeded(Exception):
    """The person must prove again who she is: `acr` the level asked, `max_age` seconds since she did (None = any)."""

    def __init__(self, acr: str, max_age: int | None) -> None:
        super().__init__("本人確認が必要です / authentication of a higher level, or a fresh one, is needed")
        self.acr, self.max_age = acr, max_age


def reaches(acr: str, wanted: str) -> bool:
    """Whether one level is another or higher. An unknown level reaches nothing."""
    return acr in LEVELS and LEVELS.index(acr) >= LEVELS.index(wanted)


def require_fresh(*, acr: str, authenticated_at: datetime | None, now: datetime) -> None:
    """Before consent for provision, guardian linking, erasure, export, break-glass. Raises StepUpNeeded."""
    wanted = settings.PHR_ACR_DEEDS
    late = authenticated_at is None or now - authenticated_at > FRESH
    if late or not reaches(acr, wanted):
        raise StepUpNeeded(wanted, int(FRESH.total_seconds()))


def wanted(acr_values: str) -> str:
    """The level asked by `acr_values` (levels in the order of preference, any of them satisfies): the first we know.

    Empty when none is known: acr_values is a wish (OpenID Connect Core §5.5.1.1), not a condition.
    """
    return next((level for level in acr_values.split() if level in LEVELS), "")


def page_url(*, acr: str, max_age: int | None, next: str) -> str:
    """The page that asks for what is missing and then leads to `next`, a path of this site."""
    asked = {"acr_values": acr, "max_age": "" if max_age is None else str(max_age), "next": next}
    return "/sign-in?" + urlencode({name: value for name, value in asked.items() if value})


def satisfied(request: HttpRequest, *, acr: str, max_age: int | None, now: datetime) -> bool:
    """Whether the person of this session has proved who she is so well ("" = in whichever way) and so lately (seconds).

    Nobody signed in satisfies nothing. A `max_age` below a minute means a minute: the way back takes a moment.
    """
    if not request.user.is_authenticated:
        return False
    level, at = of_session(request)
    if acr and not reaches(level, acr):
        return False
    return max_age is None or (at is not None and now - at <= max(LEAST, timedelta(seconds=max_age)))


def to_read() -> str:
    """The level that pages and apps ask of readers (PHR_ACR_READ); empty where having signed in is enough."""
    return "" if settings.PHR_ACR_READ == "aal1" else str(settings.PHR_ACR_READ)


def at_least(acr: str) -> str:
    """A level that is asked, or what is asked of every reader if that is higher."""
    return max(acr, to_read(), key=lambda level: LEVELS.index(level) if level in LEVELS else -1)


def require_read(request: HttpRequest) -> None:
    """Before a session reads anything. Raises StepUpNeeded."""
    if to_read() and not reaches(of_session(request)[0], to_read()):
        raise StepUpNeeded(to_read(), None)


def of_session(request: HttpRequest) -> tuple[str, datetime | None]:
    """What a page's session knows: the level, and when it was reached."""
    at = request.session.get("authenticated_at")
    return request.session.get("acr", ""), datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else None


def keep(request: HttpRequest, acr: str, *, now: datetime) -> None:
    """The person has just proved who she is. What was proved last counts."""
    request.session["acr"], request.session["authenticated_at"] = acr, int(now.timestamp())
