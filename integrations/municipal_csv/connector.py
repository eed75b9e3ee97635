"""Municipal CSV files: the face of this folder to `integrations.items.Feed`. Profiles: standard, and operators'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from django.conf import settings

from integrations.items import Item, Piece
from integrations.municipal_csv import parse
from integrations.municipal_csv import profile as profiles_
from integrations.municipal_csv.making import KIND
from integrations.municipal_csv.mapping import resources
from integrations.municipal_csv.profile import Profile, ProfileError
from integrations.municipal_csv.wording import say
from integrations.problems import Problem, Unreadable

__all__ = ["KEEPS_ORIGINAL", "KIND", "MAX_BYTES", "NEEDS", "SENDERS", "WAITS", "items", "profiles", "resources"]

MAX_BYTES = 1 << 30
NEEDS = "Observation"
SENDERS = frozenset({"municipality", "clinic", "hospital"})
WAITS = True
KEEPS_ORIGINAL = True


def known() -> Mapping[str, Profile]:
    """All profiles by id: the standard ones, and those in the operator's folder (PHR_IMPORT_PROFILES).

    A folder that changed is read anew. Raises ProfileError.
    """
    folder = Path(settings.PHR_IMPORT_PROFILES) if settings.PHR_IMPORT_PROFILES else None
    if folder is None:
        return profiles_.standard()
    stamps = tuple((file.name, file.stat().st_mtime_ns) for file in sorted(folder.glob("*.toml")))
    return profiles_.standard() | _of(folder, stamps)  # type: ignore[operator]


@cache
def _of(folder: Path, stamps: tuple[tuple[str, int], ...]) -> Mapping[str, Profile]:
    return profiles_.folder(folder, profiles_.standard())


def profiles() -> Iterable[str]:
    """Ids of the profiles to choose from. One that is not sound is not among them: importing by it says why."""
    try:
        return sorted(known())
    except (ProfileError, OSError):
        return sorted(profiles_.standard())


def items(pieces: Iterable[Piece], *, profile: str, code: str) -> Iterator[Item | Problem]:
    """Read the files by one profile. Raises Unreadable, also for a profile that is unknown or not sound."""
    try:
        chosen = known().get(profile)
    except (ProfileError, OSError) as error:
        raise Unreadable([say("bad-profile", text=str(error))]) from None
    if chosen is None:
        raise Unreadable([say("unknown-profile", profile=profile)])
    yield from parse.items(pieces, profile=chosen, code=code)
