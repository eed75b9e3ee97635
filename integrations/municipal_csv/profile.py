"""Source profiles: what a municipality's file looks like, as data (TOML). Pure.

A profile says everything the importer may know of a file: encoding, rows of headers, which column means what, date
styles, code maps with their versions, keys, units, what deletes, what hides. `extends` takes another profile of the
same folder, or a standard one, and changes what it names. Whatever is not understood is refused, with its place.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from integrations.municipal_csv import catalogue
from integrations.tabular.dates import STYLES, Style
from integrations.tabular.figures import count
from integrations.tabular.reading import ENCODINGS

STANDARD = Path(__file__).parent / "profiles"
Form = Literal["infant-checkup", "vaccination", "prenatal", "birth", "newborn-screening", "postpartum"]
FORMS: tuple[Form, ...] = ("infant-checkup", "vaccination", "prenatal", "birth", "newborn-screening", "postpartum")
NumberSystem = Literal["local", "handbook"]  # local: 宛名番号 of a municipality, 診察券番号 of a clinic that sends
MOST_BYTES = 1 << 20

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.\-]{0,62}$")]
Positive = Annotated[int, Meta(ge=1, le=2000)]


class Column(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One column: by header (`name`, or several spellings of it), or by position from 1 (`at`)."""

    name: str | list[str] = []
    at: Positive | None = None
    required: bool = False  # of the file: without this column nothing is read
    width: Positive | None = None  # exactly so many characters: leading zeros matter

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,) if isinstance(self.name, str) else tuple(self.name)


class Flag(Column, frozen=True, kw_only=True):
    """A column that says yes or no. A value that is neither is reported."""

    yes: list[str]
    no: list[str] = msgspec.field(default_factory=lambda: ["", "0"])


class Person(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Whom a row is about. `organization`: the column of the 団体コード, which must be the sender's own."""

    number: Column
    system: NumberSystem = "local"
    name: Column | None = None
    kana: Column | None = None
    birth_date: Column | None = None
    sex: Column | None = None
    organization: Column | None = None


class Event(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """When and where. `said_at`: when the source last wrote the row: an older row never replaces a newer one."""

    date: Column
    stage: Column | None = None
    said_at: Column | None = None
    facility_code: Column | None = None
    facility: Column | None = None
    doctor: Column | None = None


class CodeMap(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A list of local codes, with its version -> the common words. What is not in it is `unknown`, never `ok`."""

    version: str
    codes: dict[str, str]


class Cell(Column, frozen=True, kw_only=True):
    """One item. `codes`: name of a code map; `unit`: as it stands in the file, where it is not the item's own;
    `date`: column of its own date; `text`: column with the words to it; `days`: column of days beside weeks."""

    codes: str = ""
    unit: str = ""
    date: Column | None = None
    text: Column | None = None
    days: Column | None = None


class Vaccine(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A dose. `codes` maps local codes to `VACCINE` or `VACCINE/dose` (ids of the vaccination rules)."""

    vaccine: Column
    codes: str = ""
    dose: Column | None = None
    lot: Column | None = None
    product: Column | None = None
    amount: Column | None = None
    given: Flag | None = None  # absent: every row is a dose that was given


class Free(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Columns kept raw. `columns`: known free items; `ignore`: not for the record (addresses, telephone numbers);
    `rest`: what to do with columns the profile does not name."""

    columns: list[Column] = []
    ignore: list[Column] = []
    rest: Literal["staff", "sensitive", "ignore"] = "staff"


class Profile(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One layout of one source, in one version."""

    id: Name
    version: str
    title: str
    form: Form
    stage: str = ""  # of a file with one kind of visit: y1_6; else `event.stage` with the map `stages`
    encoding: list[str] = msgspec.field(default_factory=lambda: ["utf-8", "utf-16", "cp932"])
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    skip_rows: Annotated[int, Meta(ge=0, le=50)] = 0  # titles above the headers
    header_rows: Annotated[int, Meta(ge=0, le=2)] = 1  # of two rows, the name is `upper/lower`
    dates: list[Style] = msgspec.field(default_factory=lambda: list(STYLES))
    key: list[str] = []  # headers or positions whose values, with the number, tell one fact; [] = date and what it is
    sexes: dict[str, Literal["male", "female", "other", "unknown"]] = {}
    person: Person
    event: Event
    correction: Flag | None = None  # yes = the row deletes
    not_disclosed: Flag | None = None
    attended: Flag | None = None
    items: dict[str, Cell] = {}
    vaccine: Vaccine | None = None
    maps: dict[str, CodeMap] = {}
    free: Free = Free()


class ProfileError(Exception):
    """A profile that cannot be used. Its text names the file and the place, in Japanese and English."""


@cache
def standard() -> Mapping[str, Profile]:
    """The profiles of the standard layouts, by id."""
    return {file.stem: load(file) for file in files(STANDARD)}


def files(folder: Path) -> list[Path]:
    """The profiles of a folder; those whose name begins with `_` are only there to be extended."""
    return [file for file in sorted(folder.glob("*.toml")) if not file.name.startswith("_")]


def load(file: Path) -> Profile:
    """One profile, with all it extends. Raises ProfileError."""
    raw = _merged(file, ())
    raw.pop("extends", None)
    return checked(raw, file)


def checked(raw: Mapping[str, Any], file: Path) -> Profile:
    """A profile from its values. Raises ProfileError with the place."""
    try:
        profile = msgspec.convert(raw, Profile)
    except msgspec.ValidationError as error:
        place, text = _told(raw, error)
        raise _error(file, place, f"正しくありません。{text}") from None
    if profile.id != file.stem:
        raise _error(file, "id", "ファイル名と同じにしてください。Must be the name of the file")
    for place, text in faults(profile):
        raise _error(file, place, text)
    return profile


_NAMED: Mapping[str, Any] = {"items": Cell, "maps": CodeMap, "sexes": Literal["male", "female", "other", "unknown"]}


def _told(raw: Mapping[str, Any], error: msgspec.ValidationError) -> tuple[str, str]:
    """(place, what is wrong). Of a table with names of its own the library says `[...]`: the name is looked for."""
    text, _, path = str(error).partition(" - at `")
    place = path.rstrip("`").removeprefix("$").removeprefix(".") or "$"
    section, dots, _ = place.partition("[...]")
    for name, value in raw[section].items() if dots and section in _NAMED else ():
        try:
            msgspec.convert(value, _NAMED[section])
        except msgspec.ValidationError as inner:
            inner_text, _, rest = str(inner).partition(" - at `")
            return f"{section}.{name}{rest.rstrip('`').removeprefix('$')}", inner_text
    return place, text


def _merged(file: Path, seen: tuple[str, ...]) -> dict[str, Any]:
    raw = _toml(file)
    parent = raw.get("extends")
    if parent is None:
        return raw
    if not isinstance(parent, str) or not re.fullmatch(r"_?[a-z0-9][a-z0-9.\-]{0,62}", parent):
        raise _error(file, "extends", "プロファイルの id を書いてください。The id of a profile is expected")
    if parent in seen or len(seen) > 5:
        raise _error(file, "extends", "循環しています。It extends itself")
    base = next((f for d in (file.parent, STANDARD) if (f := d / f"{parent}.toml").is_file() and f != file), None)
    if base is None:
        raise _error(file, "extends", f"「{parent}」がありません。There is no such profile")
    return _over(_merged(base, (*seen, parent)), raw)


def _over(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged; everything else is replaced. A table with `replace = true` replaces the whole; `false` takes
    away what there was (`not_disclosed = false`: the source has no such column)."""
    merged = dict(base)
    for key, value in changes.items():
        if value is False:
            merged.pop(key, None)
        elif isinstance(value, dict) and value.get("replace") is True:
            merged[key] = {k: v for k, v in value.items() if k != "replace"}
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _over(merged[key], value)
        else:
            merged[key] = value
    return merged


def _toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise _error(file, "$", f"大きすぎます。Larger than {MOST_BYTES} bytes")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise _error(file, "$", f"読めません。Cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _error(file, f"byte {error.start + 1}", "UTF-8 ではありません。It is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _error(file, "$", f"TOML として読めません。It is not TOML: {error}") from None


def _error(file: Path, place: str, text: str) -> ProfileError:
    return ProfileError(f"{file.name}: {place}: {text}")


def faults(profile: Profile) -> list[tuple[str, str]]:
    """What the types cannot say: (place, what is wrong)."""
    found = [
        (f"encoding[{n}]", f"次のどれかにしてください。One of {', '.join(ENCODINGS)}")
        for n, name in enumerate(profile.encoding)
        if name not in ENCODINGS
    ]
    if not profile.encoding:
        found.append(("encoding", "文字コードがありません。No encoding is given"))
    if profile.delimiter not in ",\t;|":
        found.append(("delimiter", "区切り文字にできません。Not a delimiter"))
    for place, column in columns(profile):
        if not column.names and column.at is None:
            found.append((place, "name か at が必要です。Give name or at"))
        elif column.names and column.at is not None:
            found.append((place, "name と at の両方は書けません。Give name or at, not both"))
        elif column.at is None and profile.header_rows == 0:
            found.append((place, "見出し行がないので at が必要です。Without a header row, at is needed"))
    return [*found, *_form_faults(profile), *_map_faults(profile)]


def _form_faults(profile: Profile) -> list[tuple[str, str]]:
    found = []
    if (profile.form == "vaccination") != (profile.vaccine is not None):
        found.append(("vaccine", "予防接種のときだけ書きます。For the form vaccination, and only there"))
    stages = catalogue.stages()
    if profile.form == "infant-checkup":
        given = profile.maps.get("stages")
        if profile.stage and profile.stage not in stages:
            found.append(("stage", f"次のどれかにしてください。One of {', '.join(sorted(stages))}"))
        if not profile.stage and (profile.event.stage is None or given is None):
            found.append(
                ("stage", "stage か event.stage と maps.stages が必要です。Give stage, or event.stage and maps.stages")
            )
        found += [("maps.stages", f"{v}?") for v in (given.codes.values() if given else ()) if v not in stages]
    for item in profile.items:
        if catalogue.item(item) is None:
            found.append(
                (f"items.{item}", "知らない項目です。自由項目にしてください。Unknown item: make it a free column")
            )
    return found


def _map_faults(profile: Profile) -> list[tuple[str, str]]:
    found = []
    used = {f"items.{name}.codes": cell.codes for name, cell in profile.items.items() if cell.codes}
    if profile.vaccine and profile.vaccine.codes:
        used["vaccine.codes"] = profile.vaccine.codes
        codes = profile.maps[profile.vaccine.codes].codes if profile.vaccine.codes in profile.maps else {}
        for code, word in codes.items():
            name, _, dose = word.partition("/")
            if name not in catalogue.vaccines() or (dose and count(dose) is None):
                found.append((f"maps.{profile.vaccine.codes}.codes.{code}", "知らないワクチンです。Unknown vaccine"))
    found += [
        (place, f"maps.{name} がありません。There is no such map")
        for place, name in used.items()
        if name not in profile.maps
    ]
    for item, cell in profile.items.items():
        if cell.codes in profile.maps and (shape := catalogue.item(item)) and shape.allowed:
            found += [
                (f"maps.{cell.codes}.codes.{code}", f"{item} の値ではありません。Not a value of {item}: {word}")
                for code, word in profile.maps[cell.codes].codes.items()
                if word not in shape.allowed
            ]
    return found


def columns(profile: Profile) -> list[tuple[str, Column]]:
    """Every column the profile names, with its place in it."""
    found: list[tuple[str, Column]] = []

    def walk(place: str, value: object) -> None:
        if isinstance(value, Column):
            found.append((place, value))
        if isinstance(value, Struct):
            for name in value.__struct_fields__:
                walk(f"{place}.{name}", getattr(value, name))
        elif isinstance(value, dict):
            for name, inner in value.items():
                walk(f"{place}.{name}", inner)
        elif isinstance(value, list):
            for n, inner in enumerate(value):
                walk(f"{place}[{n}]", inner)

    for name in profile.__struct_fields__:
        walk(name, getattr(profile, name))
    return found
