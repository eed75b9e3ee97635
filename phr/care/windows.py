"""When a dose may be given by law: windows by age, by days of life, by school year, and the exceptions to them.

A window is (first day, last day), both inside. Exceptions add windows; they never take any away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from phr.care.dates import DAY, attained, fiscal_start, months_after, next_april, school_entry
from phr.care.rule_file import Vaccine, YearWindow
from phr.care.rules import Rules

Window = tuple[date, date]
FAR = date(9999, 1, 1)


@dataclass(frozen=True, slots=True)
class Illness:
    """Long illness of one person (長期療養特例), as decided by doctor and municipality, with the day it ended."""

    ended_on: date
    vaccines: tuple[str, ...] = ()  # () = all that are covered


@cache
def months(age: str) -> int:
    """Whole months of an age: P6M, P3Y; P0D is 0."""
    return int(age[1:-1]) * {"M": 1, "Y": 12, "D": 0}[age[-1]]


def reached(birth: date, age: str) -> date:
    """The day on which an age is attained; birth itself for P0D."""
    count = months(age)
    return attained(birth, count) if count else birth


def legal(vaccine: Vaccine, birth: date) -> Window:
    """The usual legal window of a vaccine."""
    if vaccine.window:
        return _by_year(vaccine.window, birth)
    if vaccine.age_from_days is not None and vaccine.age_until_days is not None:
        return birth + timedelta(days=vaccine.age_from_days), birth + timedelta(days=vaccine.age_until_days)
    first = reached(birth, vaccine.age_from) if vaccine.age_from else birth
    return first, reached(birth, vaccine.age_until) if vaccine.age_until else FAR


def _by_year(window: YearWindow, birth: date) -> Window:
    if window.kind == "year-before-school":
        entry = school_entry(birth)
        return date(entry.year - 1, 4, 1), entry - DAY
    assert window.since and window.until  # the loader checked
    return fiscal_start(reached(birth, window.since)), next_april(reached(birth, window.until)) - DAY


def windows(rules: Rules, vaccine: Vaccine, birth: date, illnesses: Sequence[Illness] = ()) -> tuple[Window, ...]:
    """All windows of one person for a vaccine, in order of time, overlapping ones joined."""
    usual = legal(vaccine, birth)
    exceptions = rules.exceptions_of[vaccine.id]
    if not exceptions and not illnesses:
        return (usual,)
    found = [usual, *_of_birth(rules, vaccine, birth), *_of_person(rules, vaccine, birth, illnesses)]
    return _joined(found)


def _of_birth(rules: Rules, vaccine: Vaccine, birth: date) -> Iterator[Window]:
    for row in rules.exceptions_of[vaccine.id]:
        if row.born[0] <= birth <= row.born[1]:
            if row.dates:
                yield row.dates
            elif row.age:
                yield reached(birth, row.age[0]), reached(birth, row.age[1])


def _of_person(rules: Rules, vaccine: Vaccine, birth: date, illnesses: Sequence[Illness]) -> Iterator[Window]:
    long = rules.file.long_illness
    if vaccine.id in long.not_covered or vaccine.voluntary:
        return
    for illness in illnesses:
        if illness.vaccines and vaccine.id not in illness.vaccines:
            continue
        last = months_after(illness.ended_on, months(long.within)) - DAY
        if cap := long.upper_ages.get(vaccine.id):
            last = min(last, reached(birth, cap))
        first = max(illness.ended_on, legal(vaccine, birth)[0])
        if first <= last:
            yield first, last


def _joined(found: list[Window]) -> tuple[Window, ...]:
    out: list[Window] = []
    for first, last in sorted(found):
        if out and first <= out[-1][1] + DAY:
            out[-1] = out[-1][0], max(last, out[-1][1])
        else:
            out.append((first, last))
    return tuple(out)


def first_open(found: Sequence[Window], day: date) -> date | None:
    """The first day from `day` on inside a window; None when the last one is over."""
    return next((max(day, first) for first, last in found if last >= day), None)


def last_from(found: Sequence[Window], day: date) -> date:
    """The last day of the window that holds `day`, or of the last one."""
    return next((last for first, last in found if first <= day <= last), found[-1][1])


def in_order(rules: Rules, vaccine_id: str, birth: date) -> bool:
    """Whether this person's doses fill the first period before they count for the second."""
    return any(row.in_order and row.born[0] <= birth <= row.born[1] for row in rules.exceptions_of[vaccine_id])
