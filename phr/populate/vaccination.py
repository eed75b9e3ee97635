"""When a child is vaccinated: by the rules of the table, on the days parents really come.

Parents come on a day; whatever is due that day is given together. No dose is ever given before
its minimum age or gap, nor after its last day; what is missed stays missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any

from phr.care.dates import attained, days_between, fiscal_start, months_after, next_april, school_entry
from phr.populate import tables
from phr.populate.dice import Dice, weekday

Rule = dict[str, Any]
SHORTEST_GAP_DAYS = 6  # of any two doses in the table
LIVE_GAP_DAYS = 27  # injectable live -> injectable live; the same day is free
FAR = date(9999, 1, 1)


@dataclass(frozen=True, slots=True)
class Dose:
    vaccine: str
    number: int
    on: date


@dataclass(slots=True)
class Course:
    """One child's way through one vaccine: its rule, its window, the doses so far."""

    vaccine: str
    rule: Rule
    birth: date
    first: date  # first and last day by age
    last: date
    given: list[date] = field(default_factory=list)
    reached: int = 0  # number of the table's line given last; a line may be skipped

    @property
    def live(self) -> bool:
        return bool(self.rule.get("type") == "live-injectable")

    def next_step(self) -> Rule | None:
        """The table's line for the next dose; None when the series is complete."""
        if not self.given:
            first = (self.rule.get("series") or [{}])[0]
            return dict(first) if first.get("n") == 1 else {"n": 1}
        return next((s for s in self._series() if s["n"] > self.reached and not self._skipped(s)), None)

    def give(self, step: Rule, day: date) -> Dose:
        self.given.append(day)
        self.reached = step["n"]
        return Dose(self.vaccine, len(self.given), day)

    def window(self, step: Rule) -> tuple[date, date, date]:
        """(earliest, advised, last) day of the next dose."""
        earliest = max((self.first, *self._after_gaps(step)))
        if "min_age" in step:
            earliest = max(earliest, attained(self.birth, months(step["min_age"])))
        advised, std = earliest, step.get("std")
        if not self.given and self.vaccine.startswith("ROTA"):
            std = self.rule["first_dose_std_days"]
        if isinstance(std, list):
            advised = max(advised, attained(self.birth, months(std[0])))
        elif step.get("std_year_before_school"):
            advised = max(advised, months_after(school_entry(self.birth), -12))
        if step.get("std_gap_months"):
            advised = max(advised, months_after(self.given[-1], step["std_gap_months"][0]))
        if step.get("std_from_dose1_months"):
            advised = max(advised, months_after(self.given[0], step["std_from_dose1_months"]))
        last = self.last
        if "not_after" in step:
            last = min(last, attained(self.birth, months(step["not_after"])))
        if not self.given and "first_dose_not_recommended_from_day" in self.rule:
            last = min(last, self.birth + timedelta(days=self.rule["first_dose_not_recommended_from_day"] - 1))
        return earliest, advised, last

    def _series(self) -> list[Rule]:
        if "by_start_age" not in self.rule:
            return list(self.rule["series"])
        for track in self.rule["by_start_age"]:
            until = track["start"][1]
            if until == "window" or self.given[0] <= attained(self.birth, months(until)):
                return list(track["series"])
        return []

    def _skipped(self, step: Rule) -> bool:
        """Dose 3 of the infant pneumococcal series falls away when dose 2 came after the first birthday."""
        return "skip_if_after" in step and self.given[1] > attained(self.birth, 12)

    def _after_gaps(self, step: Rule) -> Iterator[date]:
        if self.given:  # hepatitis B: dose 3 counts from dose 1, but never comes with or before a late dose 2
            yield days_between(self.given[-1], SHORTEST_GAP_DAYS)
        if gap := step.get("min_gap_days"):
            yield days_between(self._from(gap["from"]), gap["days"])
        if gap := step.get("min_gap_months"):
            yield months_after(self._from(gap["from"]), gap["months"])

    def _from(self, dose: int | str) -> date:
        return self.given[dose - 1] if isinstance(dose, int) else self.given[-1]


@cache
def months(period: str) -> int:
    """Whole months of an ISO period such as P6M, P3Y or P0D."""
    count = int(period[1:-1])
    return count * {"M": 1, "Y": 12, "D": 0}[period[-1]]


def course(vaccine: str, birth: date) -> Course:
    """A child's course with its legal window. Windows by school year are those of MR2 and HPV."""
    rule = tables.immunization_rules()[vaccine]
    if vaccine == "MR2":
        entry = school_entry(birth)
        first, last = date(entry.year - 1, 4, 1), entry - timedelta(days=1)
    elif vaccine == "HPV9":
        first = fiscal_start(attained(birth, 144))
        last = next_april(attained(birth, 192)) - timedelta(days=1)
    elif "age_from_days" in rule:
        first = birth + timedelta(days=rule["age_from_days"])
        last = birth + timedelta(days=rule["age_until_days"])
    else:
        first = attained(birth, months(rule["age_from"])) if months(rule.get("age_from", "P0D")) else birth
        last = attained(birth, months(rule["age_until"])) if "age_until" in rule else FAR
    return Course(vaccine, rule, birth, first, last)


def courses(birth: date, sex: str, dice: Dice) -> list[Course]:
    """The vaccines this child's parents begin: by era, sex, product and choice."""
    draw, found = dice.unit(), []
    for row in tables.rows("vaccine_eras"):
        vaccine, share = row["vaccine_id"], float(row["share"])
        chosen = draw < 0.62 if vaccine == "ROTA1" else draw >= 0.62 if vaccine == "ROTA5" else dice.chance(share)
        rule = tables.immunization_rules()[vaccine]
        if not chosen or (rule.get("sex") == "F" and sex != "female"):
            continue
        one = course(vaccine, birth)
        begin = one.window(one.next_step() or {"n": 1})[1]
        if (row["starts_from"] or "0") <= begin.isoformat() <= (row["starts_until"] or "9"):
            found.append(one)
    return found


def doses(birth: date, sex: str, last_on: date, dice: Dice) -> list[Dose]:
    """Every dose the child has had before `last_on`, in order of time."""
    open_courses, done, live = courses(birth, sex, dice), [], date(1, 1, 1)
    patience = 3.0 + 9.0 * dice.unit()  # mean delay in days of this family
    while due := _due(open_courses, live):
        day = weekday(due + dice.delay(patience * (8 if dice.chance(0.04) else 1)))
        if day >= last_on:
            break
        any_live = False
        for one in list(open_courses):
            step = one.next_step()
            if step is None or day > one.window(step)[2]:
                open_courses.remove(one)
            elif one.window(step)[1] <= day and (not one.live or _free(live, day)):
                done.append(one.give(step, day))
                any_live = any_live or one.live
        live = day if any_live else live
    return done


def _free(live: date, day: date) -> bool:
    return day >= days_between(live, LIVE_GAP_DAYS)


def _due(open_courses: list[Course], live: date) -> date | None:
    """The next day on which something is advised; None when nothing is left."""
    days = []
    for one in open_courses:
        if step := one.next_step():
            advised = one.window(step)[1]
            days.append(max(advised, days_between(live, LIVE_GAP_DAYS)) if one.live else advised)
    return min(days, default=None)
