"""Municipal CSV files: the face of this folder to `integrations.items.Feed`. Profiles: standard, and operators'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from integrations.items import Item, Piece
from integrations.municipal_csv import parse
from integrations.municipal_csv.making import KIND
from integrations.municipal_csv.mapping import resources
from integrations.municipal_csv.profile import Profile, ProfileError, files, load, standard
from integrations.municipal_csv.wording import say
from integrations.problems import Problem, Unreadable

__all__ = ["KEEPS_ORIGINAL", "KIND", "MAX_BYTES", "NEEDS", "SENDERS", "WAITS", "items", "profiles", "resources"]

MAX_BYTES = 1 << 30
NEEDS = "Observation"
SENDERS = frozenset({"municipality", "clinic", "hospital"})
WAITS = True
KEEPS_ORIGINAL = True


def profiles() -> Mapping[str, str]:
    """The profiles to choose from: id -> title. One that is not sound is among them, by its id alone: importing by it
    says what is wrong."""
    return {id: _title(id) for id in sorted({*standard(), *(file.stem for file in _own())})}


def _title(id: str) -> str:
    try:
        return chosen(id).title
    except (KeyError, ProfileError, OSError):
        return id


def chosen(id: str) -> Profile:
    """The profile of this id: a standard one, or a file of the operator's folder (PHR_IMPORT_PROFILES), read anew when
    any file there has changed. Raises KeyError, ProfileError."""
    own = {file.stem: file for file in _own()}
    if id not in own:
        return standard()[id]
    if id in standard():
        raise ProfileError(f"{own[id].name}: id: 標準のプロファイルと同じ名前です。The name of a standard profile")
    beside = sorted(own[id].parent.glob("*.toml"))  # it may extend any of them
    return _loaded(own[id], tuple((file.name, file.stat().st_mtime_ns) for file in beside))


def _own() -> list[Path]:
    return files(Path(settings.PHR_IMPORT_PROFILES)) if settings.PHR_IMPORT_PROFILES else []


@lru_cache(maxsize=256)
def _loaded(file: Path, stamps: tuple[tuple[str, int], ...]) -> Profile:
    return load(file)


def items(pieces: Iterable[Piece], *, profile: str, code: str) -> Iterator[Item | Problem]:
    """Read the files by one profile. Raises Unreadable, also for a profile that is unknown or not sound."""
    try:
        source = chosen(profile)
    except KeyError:
        raise Unreadable([say("unknown-profile", profile=profile)]) from None
    except (ProfileError, OSError) as error:
        raise Unreadable([say("bad-profile", text=str(error))]) from None
    yield from parse.items(pieces, profile=source, code=code)
