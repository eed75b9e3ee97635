"""The vaccination rules as a file says them, checked while they are read.

A file is valid from a day and says everything with dates: products that end, cohorts, supply shortages. Code never asks
which year it is. What the words of the file mean stands in its `semantics`, and in README.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from phr.care.tables import DATA

# P6M, P3Y; P0D is birth.
Age = Annotated[str, msgspec.Meta(pattern=r"^(P[0-9]{1,3}[MY]|P0D)$")]
Edge = Annotated[str, msgspec.Meta(pattern=r"^(P[0-9]{1,3}[MY]|window)$")]
MonthDay = Annotated[str, msgspec.Meta(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9]{0,15}$")]
Kind = Literal["inactivated", "live-injectable", "live-oral"]


class RuleFileError(Exception):
    """A rule file that cannot be used: which one, where in it, and why."""


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Gap(_Row, frozen=True):
    """From dose `from` (or the last one): `months` first, then `days` more (see `courses.after`)."""

    since: int | Literal["last"] = msgspec.field(name="from")
    days: int = 0
    months: int = 0


class SkipAfter(_Row, frozen=True):
    dose: int
    age: Age


class ThirdIfEarlier(_Row, frozen=True):
    """A second dose earlier than its gap but not than this one is followed by `then`."""

    min_gap_months: Gap
    then: Step


class Step(_Row, frozen=True):
    """One dose of a series. `std…`: 標準的な接種期間, advice; the rest is law."""

    n: int
    min_gap_days: Gap | None = None
    min_gap_months: Gap | None = None
    also_from: Gap | None = None
    min_age: Age | None = None
    not_after: Age | None = None
    skip_if_after: SkipAfter | None = None
    if_age_below: Age | None = None
    third_if_earlier: ThirdIfEarlier | None = None
    booster: bool = False
    std: tuple[Age, Age] | None = None
    std_gap_days: tuple[int, int | None] | None = None
    std_gap_months: tuple[int, int | None] | None = None
    std_from_dose1_months: int | None = None
    std_year_before_school: bool = False
    volume: str = ""


class Track(_Row, frozen=True):
    """The series of those who begin between two ages. Dose 1 is implied."""

    start: tuple[Edge, Edge]
    doses: int
    series: tuple[Step, ...]
    primary_std_end: Age | None = None


class YearWindow(_Row, frozen=True):
    """`year-before-school`: the fiscal year before school entry. `fiscal-years`: from the first day of the fiscal year
    in which `from` is attained to the last day of that of `until`."""

    kind: Literal["year-before-school", "fiscal-years"]
    since: Age | None = msgspec.field(name="from", default=None)
    until: Age | None = None


class FinishWith(_Row, frozen=True):
    """From a day on, a series of this vaccine is finished with another one."""

    vaccine: Name
    since: date = msgspec.field(name="from")
    series: tuple[Step, ...]


class Product(_Row, frozen=True):
    """A product that counts for its diseases without a series of its own."""

    id: Name
    ja: str
    en: str
    disease: tuple[Name, ...]
    type: Kind
    cvx: tuple[str, ...] = ()


class Vaccine(_Row, frozen=True):
    """One series of the table. `period`: 第1期, 第2期 of the same disease."""

    id: Name
    ja: str
    en: str
    disease: tuple[Name, ...]
    type: Kind
    cvx: tuple[str, ...] = ()
    period: int = 1
    law_class: str = msgspec.field(name="class", default="")
    route: str = ""
    note: str = ""
    src: str = ""
    legacy: bool = False
    voluntary: bool = False
    sex: Literal["F", "M"] | None = None
    subject: Literal["child", "pregnant"] = "child"
    per: Literal["pregnancy"] | None = None
    doses: int = 1
    valid_from: date | None = None
    valid_until: date | None = None
    begins_from: date | None = None  # new series begin with it between these days
    begins_until: date | None = None
    same_product: bool = False
    age_from: Age | None = None
    age_until: Age | None = None
    age_from_days: int | None = None  # of life, birth = 0
    age_until_days: int | None = None  # the last day itself
    first_dose_std_days: tuple[Age, int] | None = None
    first_dose_not_recommended_from_day: int | None = None
    gestation_days: tuple[int, int] | None = None
    window: YearWindow | None = None
    std_fiscal_year_of: Age | None = None
    season: tuple[MonthDay, MonthDay] | None = None
    series: tuple[Step, ...] = ()
    by_start_age: tuple[Track, ...] = ()
    finish_with: FinishWith | None = None


class Exemption(_Row, frozen=True):
    """A window beside the usual one for those born in a range: between ages, or between dates.

    `in_order`: doses fill the first period before they count for the second.
    """

    id: str
    vaccines: tuple[Name, ...]
    born: tuple[date, date]
    reason: str
    authority: str
    age: tuple[Age, Age] | None = None
    dates: tuple[date, date] | None = None
    in_order: bool = False


class LongIllness(_Row, frozen=True):
    """長期療養特例: the window for one person after the reason ends."""

    within: Age
    upper_ages: Mapping[Name, Age]
    not_covered: tuple[Name, ...]
    authority: str


class RuleFile(_Row, frozen=True):
    """One file. `valid_from` chooses it; `version` is told with every answer."""

    ruleset: str
    version: str
    valid_from: date
    valid_until: date | None
    status: str
    semantics: Mapping[str, str]
    shortest_gap_days: int  # between any two doses against one disease, where the table says nothing: advice
    live_gap_days: int
    vaccines: tuple[Vaccine, ...]
    products: tuple[Product, ...]
    exceptions: tuple[Exemption, ...]
    long_illness: LongIllness


def read(content: bytes, *, name: str, diseases: frozenset[str]) -> RuleFile:
    """A rule file from its bytes. Raises RuleFileError naming the file, the place in it and the reason."""
    try:
        found = msgspec.json.decode(content, type=RuleFile)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RuleFileError(f"{name}: {error}") from None
    if problem := next(_problems(found, diseases), None):
        raise RuleFileError(f"{name}: {problem}")
    return found


def _problems(found: RuleFile, diseases: frozenset[str]) -> Iterator[str]:
    ids = [v.id for v in found.vaccines] + [p.id for p in found.products]
    yield from (f"{id} is there twice" for id in ids if ids.count(id) > 1)
    if found.valid_until and found.valid_until < found.valid_from:
        yield "valid_until lies before valid_from"
    everything: list[Product | Vaccine] = [*found.products, *found.vaccines]
    for one in everything:
        yield from (f"{one.id}: disease {d} is unknown" for d in one.disease if d not in diseases)
        if not one.disease:
            yield f"{one.id}: protects against nothing"
    for vaccine in found.vaccines:
        yield from (f"{vaccine.id}: {said}" for said in _in_vaccine(vaccine, set(ids)))
    for row in found.exceptions:
        yield from (f"exception {row.id}: {said}" for said in _in_exception(row, set(ids)))
    named = {*found.long_illness.upper_ages, *found.long_illness.not_covered}
    yield from (f"long_illness: {id} is unknown" for id in sorted(named - set(ids)))


def _in_vaccine(v: Vaccine, ids: set[str]) -> Iterator[str]:
    if bool(v.series) == bool(v.by_start_age):
        yield "needs either series or by_start_age"
    if v.gestation_days is None and v.subject == "pregnant":
        yield "for the pregnant needs gestation_days"
    if (v.age_from_days is None) != (v.age_until_days is None):
        yield "needs both age_from_days and age_until_days"
    if v.window and v.window.kind == "fiscal-years" and not (v.window.since and v.window.until):
        yield "window fiscal-years needs from and until"
    if v.finish_with and v.finish_with.vaccine not in ids:
        yield f"finish_with {v.finish_with.vaccine} is unknown"
    for track in v.by_start_age:
        yield from _in_series(track.series, track.doses, first=2)
    if v.series:
        yield from _in_series(v.series, len(v.series) + (v.series[0].n - 1), first=v.series[0].n)
    if v.finish_with:
        yield from _in_series(v.finish_with.series, len(v.finish_with.series) + 1, first=2)


def _in_series(steps: tuple[Step, ...], doses: int, *, first: int) -> Iterator[str]:
    numbers = [step.n for step in steps]
    if first not in (1, 2) or numbers != list(range(first, doses + 1)):
        yield f"a series of {doses} has the doses {numbers}"
    for step in steps:
        gaps = (step.min_gap_days, step.min_gap_months, step.also_from)
        for gap in gaps:
            if gap and gap.since != "last" and not 1 <= gap.since < step.n:
                yield f"dose {step.n} waits for dose {gap.since}"
            if gap and (gap.days < 0 or gap.months < 0):
                yield f"dose {step.n} has a negative gap"


def _in_exception(row: Exemption, ids: set[str]) -> Iterator[str]:
    yield from (f"{id} is unknown" for id in row.vaccines if id not in ids)
    if row.born[0] > row.born[1]:
        yield "born ends before it begins"
    if (row.age is None) == (row.dates is None):
        yield "needs either age or dates"
    if row.dates and row.dates[0] > row.dates[1]:
        yield "dates end before they begin"


def read_folder(folder: Path, *, diseases: frozenset[str]) -> tuple[RuleFile, ...]:
    """Every `immunization_rules*.json` of a folder, oldest first. Raises RuleFileError."""
    files = [
        read(p.read_bytes(), name=p.name, diseases=diseases) for p in sorted(folder.glob("immunization_rules*.json"))
    ]
    found = sorted(files, key=lambda f: f.valid_from)
    if not found:
        raise RuleFileError(f"{folder.name}: there is no immunization_rules*.json")
    days = [f.valid_from for f in found]
    if len(set(days)) < len(days):
        raise RuleFileError(f"{folder.name}: two files are valid from the same day")
    return tuple(found)


@cache
def shipped() -> tuple[dict[str, Any], ...]:
    """The vaccines of the newest file that comes with the product, as plain rows in its order."""
    newest = max(DATA.glob("immunization_rules*.json"), key=lambda p: p.name)
    return tuple(msgspec.json.decode(newest.read_bytes())["vaccines"])
