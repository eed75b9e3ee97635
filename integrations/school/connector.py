"""School checkups in CSV files: the face of this folder to `integrations.items.Feed`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from django.conf import settings

from integrations.items import Item, Piece
from integrations.problems import Problem, Unreadable
from integrations.school import parse
from integrations.school import profile as profiles_
from integrations.school.mapping import KIND, resources
from integrations.school.profile import Profile, ProfileError
from integrations.school.wording import say

__all__ = ["KEEPS_ORIGINAL", "KIND", "MAX_BYTES", "NEEDS", "SENDERS", "WAITS", "items", "profiles", "resources"]

MAX_BYTES = 256 << 20
NEEDS = "Observation"
SENDERS = frozenset({"school", "municipality"})
WAITS = True
KEEPS_ORIGINAL = True


def known() -> Mapping[str, Profile]:
    """The profiles by id: the standard one, and those in `school/` of the operator's folder. Raises ProfileError."""
    own = Path(settings.PHR_IMPORT_PROFILES) / "school" if settings.PHR_IMPORT_PROFILES else None
    return dict(profiles_.standard()) | (profiles_.folder(own) if own is not None else {})


def profiles() -> Mapping[str, str]:
    """The profiles to choose from: id -> title; with an unsound one among the operator's, only the standard."""
    try:
        found = known()
    except ProfileError:
        found = profiles_.standard()
    return {id: found[id].title for id in sorted(found)}


def items(pieces: Iterable[Piece], *, profile: str, code: str) -> Iterator[Item | Problem]:
    """Read the files by one profile. Raises Unreadable, also for a profile that is unknown or not sound."""
    try:
        chosen = known().get(profile)
    except ProfileError as error:
        raise Unreadable([say("bad-profile", text=str(error))]) from None
    if chosen is None:
        raise Unreadable([say("unknown-profile", profile=profile)])
    yield from parse.items(pieces, profile=chosen, code=code)
