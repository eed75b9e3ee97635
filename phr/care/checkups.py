"""Which checkups are due: of a child by age, of a pregnant woman by week, of a mother after birth.

Day windows (P27D–P41D) include their last day; month windows (P18M–P24M) end on the day on which the age is attained
(年齢計算に関する法律). Only 1歳6か月 and 3歳 are duties of every municipality; the rest is the municipality's choice.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache

from phr.care import gestation
from phr.care.dates import attained, school_entry
from phr.care.tables import rows

DAY = timedelta(days=1)


class State(StrEnum):
    NOT_YET = "not-yet"
    DUE = "due"
    OVER = "over"  # its time is over; the municipality may still see the child
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Due:
    """One checkup. `id`: stage of the table, `prenatal-N`, `postpartum-2w` or `postpartum-1m`."""

    id: str
    name: str
    state: State
    first: date
    last: date
    by_law: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    id: str
    name: str
    age_from: str
    age_until: str
    by_law: bool

    def window(self, birth: date) -> tuple[date, date]:
        """First and last day, both inside."""
        if self.id == "school":  # in the fiscal year before entry, until the end of November
            entry = school_entry(birth)
            return date(entry.year - 1, 4, 1), date(entry.year - 1, 11, 30)
        count, until = int(self.age_from[1:-1]), int(self.age_until[1:-1])
        if self.age_from.endswith("D"):
            return birth + timedelta(days=count), birth + timedelta(days=until)
        return attained(birth, count), attained(birth, until)


@cache
def stages() -> tuple[Stage, ...]:
    """The checkups of childhood, in order of age."""
    return tuple(
        Stage(row["stage_id"], row["name_ja"], row["age_from"], row["age_until"], "義務" in row["legal_basis"])
        for row in rows("infant_checkup_stages")
    )


def of_child(birth: date, *, done: Collection[str], day: date) -> list[Due]:
    """Every stage with its window and how it stands; `done`: ids of stages on record."""
    found = []
    for stage in stages():
        first, last = stage.window(birth)
        state = State.DONE if stage.id in done else _state(first, last, day)
        found.append(Due(stage.id, stage.name, state, first, last, stage.by_law))
    return found


def _state(first: date, last: date, day: date) -> State:
    return State.NOT_YET if day < first else State.DUE if day <= last else State.OVER


@cache
def _visits() -> tuple[tuple[str, int, int, int], ...]:
    """(number, from week, until week, days until the next) of the usual visits."""
    return tuple(
        (row["visit_no"], int(row["weeks_from"]), int(row["weeks_to"]), int(row["interval_days"]))
        for row in rows("prenatal_visit_schedule")
    )


def next_visit(expected: date, last_visit: date | None, *, day: date) -> Due | None:
    """The next prenatal visit: every 4 weeks to 23 weeks, every 2 from 24 to 35, every week from 36 on.

    Counted from the last visit on record; without one, from the week of the table that is reached. None after term
    is long over. The window is a week: the day, and the six after it.
    """
    if gestation.days(expected, day) is None:
        return None
    if last_visit is None or (seen := gestation.days(expected, last_visit)) is None:
        starts = [gestation.on_day(expected, week * 7) for _, week, _, _ in _visits()]
        ahead = [n for n, start in enumerate(starts) if start + 6 * DAY >= day]
        number, first = (ahead[0], starts[ahead[0]]) if ahead else (len(starts) - 1, day)
    else:
        passed = [n for n, (_, week, _, _) in enumerate(_visits()) if week * 7 <= seen]
        interval = _visits()[passed[-1]][3] if passed else _visits()[0][3]
        number = min(len(passed), len(_visits()) - 1)
        first = last_visit + timedelta(days=interval)
    last = first + 6 * DAY
    told = f"妊婦健診 {gestation.told(max(gestation.days(expected, first) or 0, 0))}ごろ"
    return Due(f"prenatal-{_visits()[number][0]}", told, _state(first, last, day), first, last)


def after_birth(born: date, *, done: Collection[str], day: date) -> list[Due]:
    """The two visits of a mother: about two weeks (days 5 to 21) and about a month (days 22 to 56) after birth."""
    found = []
    for id, name, low, high in (("postpartum-2w", "産婦健診 2週", 5, 21), ("postpartum-1m", "産婦健診 1か月", 22, 56)):
        first, last = born + timedelta(days=low), born + timedelta(days=high)
        found.append(Due(id, name, State.DONE if id in done else _state(first, last, day), first, last))
    return found
