"""Source profiles of schools' files, as data (TOML): headers, dates, code maps with their versions. Pure.

Every school's system exports otherwise; a profile names the columns. What is not understood is refused by its place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from integrations.school import catalogue
from integrations.tabular.dates import STYLES, Style
from integrations.tabular.reading import ENCODINGS
from phr.care.tables import rows

STANDARD = Path(__file__).parent / "profiles"
MOST_BYTES = 1 << 20
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.\-]{0,62}$")]


class Column(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One column: by header, or several spellings of it."""

    name: Annotated[list[str], Meta(min_length=1)]
    required: bool = False


class Flag(Column, frozen=True, kw_only=True):
    yes: list[str]
    no: list[str]


class Cell(Column, frozen=True, kw_only=True):
    codes: str = ""  # name of a code map


class Person(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """`system`: whose number it is: the school's own, or the municipality's 宛名番号."""

    number: Column
    system: Literal["school", "atena"] = "school"
    name: Column | None = None
    kana: Column | None = None
    birth_date: Column | None = None
    sex: Column | None = None


class Event(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    date: Column
    grade: Column | None = None
    said_at: Column | None = None


class CodeMap(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A list of local codes, with its version -> the words of the form."""

    version: str
    codes: dict[str, str]


class Profile(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    id: Name
    version: str
    title: str
    encoding: Annotated[list[str], Meta(min_length=1)]
    delimiter: Literal[",", "\t", ";"] = ","
    dates: list[Style] = msgspec.field(default_factory=lambda: list(STYLES))
    sexes: dict[str, Literal["male", "female", "other", "unknown"]] = {}
    obesity_edition: str
    person: Person
    event: Event
    correction: Flag | None = None
    not_disclosed: Flag | None = None
    items: dict[str, Cell]
    maps: dict[str, CodeMap] = {}


class ProfileError(Exception):
    """A profile that cannot be used. Its text names the file and the place."""


@cache
def standard() -> Mapping[str, Profile]:
    return folder(STANDARD)


def folder(path: Path) -> dict[str, Profile]:
    """The profiles of a folder by id, which is each file's name. Raises ProfileError for the first unsound one."""
    return {profile.id: profile for profile in map(load, sorted(path.glob("*.toml")))}


def load(file: Path) -> Profile:
    """Raises ProfileError."""
    try:
        content = file.read_bytes()
        if len(content) > MOST_BYTES:
            raise ProfileError(f"{file.name}: 大きすぎます。Larger than {MOST_BYTES} bytes")
        profile = msgspec.convert(tomllib.loads(content.decode("utf-8-sig")), Profile)
    except msgspec.ValidationError as error:
        raise ProfileError(f"{file.name}: 正しくありません。{error}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{file.name}: 読めません。Cannot be read: {type(error).__name__}") from None
    if fault := next(faults(profile), ""):
        raise ProfileError(f"{file.name}: {fault}")
    if profile.id != file.stem:
        raise ProfileError(f"{file.name}: id: ファイル名と同じにしてください。Must be the name of the file")
    return profile


def faults(profile: Profile) -> Iterator[str]:
    """What the types cannot say: the place, and what is wrong."""
    yield from (f"encoding: {name}?" for name in profile.encoding if name not in ENCODINGS)
    if profile.obesity_edition not in {row["edition"] for row in rows("obesity_degree")}:
        yield "obesity_edition: 知らない版です。Unknown edition"
    for item, cell in profile.items.items():
        shape = catalogue.items().get(item)
        if shape is None:
            yield f"items.{item}: 知らない項目です。Unknown item"
        elif cell.codes and cell.codes not in profile.maps:
            yield f"items.{item}.codes: maps.{cell.codes} がありません。There is no such map"
        elif cell.codes:
            words = profile.maps[cell.codes].codes
            yield from (f"maps.{cell.codes}.codes.{c}: {w}?" for c, w in words.items() if w not in shape.allowed)


def columns(profile: Profile) -> dict[str, Column]:
    """Every column the profile names, by its place in it."""
    named = {
        f"{place}.{name}": column
        for place, part in (("person", profile.person), ("event", profile.event))
        for name in part.__struct_fields__
        if isinstance(column := getattr(part, name), Column)
    }
    flags = {"correction": profile.correction, "not_disclosed": profile.not_disclosed}
    return named | {k: v for k, v in flags.items() if v} | {f"items.{k}": v for k, v in profile.items.items()}
