"""One person's way through one series: what each dose counted for, what is wrong with it, what comes next.

An early dose is flagged and counts: whether it must be repeated is for the doctor and the municipality to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from phr.care.dates import DAY, attained, days_between, fiscal_start, months_after, school_entry
from phr.care.rule_file import Gap, Step, Vaccine
from phr.care.rules import Rules, with_first
from phr.care.windows import Window, first_open, last_from, legal, months, reached

# What makes a dose doubtful. Everything else is a remark.
DOUBTFUL = frozenset({"early-age", "early-gap", "late-age", "live-gap", "product-changed", "extra"})


@dataclass(frozen=True, slots=True)
class Given:
    """A dose of the record. `product`: a vaccine or product id of the rules. `reference`: where it stands.

    Of a date that says only a month or a year, `on` is the last day it can be, and `exact` is False.
    """

    product: str
    on: date
    reference: str = ""
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Assessed:
    """What a dose came to. `number` of the series of `vaccine`; `flags`: see DOUBTFUL."""

    given: Given
    vaccine: str
    diseases: tuple[str, ...]
    number: int
    flags: tuple[str, ...]

    @property
    def doubtful(self) -> bool:
        return not DOUBTFUL.isdisjoint(self.flags)


@dataclass(frozen=True, slots=True)
class Next:
    """The next dose. `earliest` by law, `recommended` by the standard period, both as if nobody had waited.

    `standard_until`: last day of the standard period; `last`: by law; `number` of `of`.
    """

    number: int
    of: int
    vaccine: str
    earliest: date
    recommended: date
    standard_until: date | None
    last: date
    refused: bool = False  # the table does not advise to begin any more


@dataclass(slots=True)
class Course:
    """A series under way. `doses`: in order of time. `live`: days of injectable live doses against anything."""

    rules: Rules
    vaccine: Vaccine
    birth: date
    windows: tuple[Window, ...]
    doses: list[Given] = field(default_factory=list)
    steps: tuple[Step, ...] = ()
    reached: int = 0  # the step given last; steps may be skipped
    at: dict[int, date] = field(default_factory=dict)  # step -> its day
    flags: list[tuple[str, ...]] = field(default_factory=list)

    # -- what was given -----------------------------------------------------------------------------

    def take(self, dose: Given, live: Sequence[date]) -> None:
        """Count a dose, with its flags."""
        if not self.doses:
            self.steps = self.track(dose.on)
        step = self.step(dose.on)
        flags = self._judged(dose, step, live)
        if step:
            if step.third_if_earlier and "third-needed" in flags:
                self.steps = (*self.steps, step.third_if_earlier.then)
            self.reached = step.n
            self.at[step.n] = dose.on
        self.doses.append(dose)
        self.flags.append(flags)

    def _judged(self, dose: Given, step: Step | None, live: Sequence[date]) -> tuple[str, ...]:
        found = []
        if step is None:
            found.append("extra")
        else:
            found += self._of_age(dose, step)
            if dose.on < self._after_gaps(step, dose.on):
                early = step.third_if_earlier
                least = self._gap(early.min_gap_months) if early else None
                found.append("third-needed" if least and dose.on >= least else "early-gap")
                if least and dose.on < least:
                    found.append("third-needed")
        product = self.rules.products[dose.product]
        gap = timedelta(days=self.rules.file.live_gap_days)
        if product.type == "live-injectable" and any(timedelta(0) < dose.on - day <= gap for day in live):
            found.append("live-gap")
        if self.vaccine.same_product and self.doses and dose.product != self.doses[0].product:
            found.append("product-changed")
        if isinstance(product, Vaccine) and product.valid_until and dose.on > product.valid_until:
            found.append("product-ended")
        if not dose.exact:
            found.append("date-imprecise")
        return tuple(found)

    def _of_age(self, dose: Given, step: Step) -> list[str]:
        found = []
        if first_open(self.windows, dose.on) != dose.on:
            found.append("early-age" if dose.on < self.windows[0][0] else "late-age")
        elif step.min_age and dose.on < reached(self.birth, step.min_age):
            found.append("early-age")
        if not self.doses and self._too_late_to_begin(dose.on):
            found.append("begun-late")
        return found

    # -- the series ---------------------------------------------------------------------------------

    def track(self, day: date) -> tuple[Step, ...]:
        """The steps of a series begun on `day`. A day two ranges share belongs to the earlier one."""
        tracks = self.rules.steps[self.vaccine.id]
        for track, steps in zip(self.vaccine.by_start_age, tracks, strict=False):
            until = track.start[1]
            if until == "window" or day <= reached(self.birth, until):
                return steps
        return tracks[-1]

    def step(self, day: date) -> Step | None:
        """What a dose on `day` would be; None when the series is complete."""
        return next((s for s in self._series(day) if s.n > self.reached and not self._skipped(s, day)), None)

    def _series(self, day: date) -> tuple[Step, ...]:
        finish = self.vaccine.finish_with
        if finish and self.doses and day >= finish.since:
            return with_first(finish.series)
        return self.steps or self.track(day)

    def _skipped(self, step: Step, day: date) -> bool:
        if step.not_after and day > reached(self.birth, step.not_after):
            return True
        if step.if_age_below and self.at.get(1, day) > attained(self.birth, months(step.if_age_below)):
            return True
        skip = step.skip_if_after
        return bool(skip and skip.dose in self.at and self.at[skip.dose] > reached(self.birth, skip.age))

    # -- what comes next ----------------------------------------------------------------------------

    def next(self, day: date, *, live: date | None, before: date | None) -> Next | None:
        """The next dose as it stands on `day`, if none is given before; None when complete or no day is left.

        `live`: the last injectable live dose against anything; `before`: the last dose against any of these diseases.
        """
        soonest = day
        while step := self.step(soonest):
            found = self._next(step, soonest, live=live, before=before)
            if found is None or found.earliest <= soonest or self.step(found.earliest) is step:
                return found
            soonest = found.earliest
        return None

    def _next(self, step: Step, day: date, *, live: date | None, before: date | None) -> Next | None:
        floor = self._after_gaps(step, day)
        if step.min_age:
            floor = max(floor, reached(self.birth, step.min_age))
        if before:
            floor = max(floor, days_between(before, self.rules.file.shortest_gap_days))
        if live and self.vaccine.type == "live-injectable":
            floor = max(floor, days_between(live, self.rules.file.live_gap_days))
        earliest = first_open(self.windows, floor)
        opens = earliest and first_open(self.windows, max(day, earliest))
        if earliest is None or opens is None:
            return None
        earliest = max(earliest, next(first for first, last in self.windows if last >= opens))  # what is over is over
        last = last_from(self.windows, max(day, earliest))
        begin, until = self._standard(step, earliest)
        if step.not_after:
            last = min(last, reached(self.birth, step.not_after))
        recommended = first_open(self.windows, max(earliest, min(begin, last))) or earliest
        series = self._series(max(day, earliest))
        return Next(
            number=len(self.doses) + 1,
            of=len(self.doses) + sum(s.n >= step.n and not self._skipped(s, max(day, earliest)) for s in series),
            vaccine=self._product(max(day, recommended)),
            earliest=earliest,
            recommended=recommended,
            standard_until=until,
            last=last,
            refused=not self.doses and self._too_late_to_begin(max(day, earliest)),
        )

    def _product(self, day: date) -> str:
        finish = self.vaccine.finish_with
        return finish.vaccine if finish and self.doses and day >= finish.since else self.vaccine.id

    def _too_late_to_begin(self, day: date) -> bool:
        limit = self.vaccine.first_dose_not_recommended_from_day
        return limit is not None and (day - self.birth).days >= limit

    def _after_gaps(self, step: Step, day: date) -> date:
        gaps = (step.min_gap_days, step.min_gap_months, step.also_from)
        earliest = max((self._gap(gap) for gap in gaps if gap), default=date.min)
        finish = self.vaccine.finish_with
        if finish and self.doses and day < finish.since <= earliest:  # by then other gaps hold
            other = next((s for s in with_first(finish.series) if s.n == step.n), step)
            return max(finish.since, self._after_gaps(other, finish.since))
        return earliest

    def _gap(self, gap: Gap) -> date:
        """The first day after a gap; counted from the dose it names, or from the last one where that was skipped."""
        since = self.doses[-1].on if gap.since == "last" else self.at.get(gap.since, self.doses[-1].on)
        return after(since, gap)

    def _standard(self, step: Step, earliest: date) -> tuple[date, date | None]:
        """(first, last) day of the standard period; the last is None where the table gives none."""
        starts, ends = [earliest], list[date]()
        if span := self._standard_ages(step):
            starts.append(span[0])
            ends.append(span[1])
        if self.doses:
            last = self.doses[-1].on
            if step.std_gap_days:
                low, high = step.std_gap_days
                starts.append(days_between(last, low))
                ends += [days_between(last, high)] if high is not None else []
            if step.std_gap_months:
                low, high = step.std_gap_months
                starts.append(months_after(last, low))
                # An exact month (6 months) is a point, not a period that is over the day after.
                ends += [months_after(last, high)] if high is not None and high != low else []
            if step.std_from_dose1_months:
                starts.append(months_after(self.doses[0].on, step.std_from_dose1_months))
        begin = max(starts)
        return begin, max(min(ends), begin) if ends else None

    def _standard_ages(self, step: Step) -> Window | None:
        if step.std:
            return reached(self.birth, step.std[0]), reached(self.birth, step.std[1])
        if step.std_year_before_school:
            entry = school_entry(self.birth)
            return date(entry.year - 1, 4, 1), entry - DAY
        if step.n == 1 and self.vaccine.first_dose_std_days:
            age, day = self.vaccine.first_dose_std_days
            return reached(self.birth, age), self.birth + timedelta(days=day)
        if step.n == 1 and self.vaccine.std_fiscal_year_of:
            start = fiscal_start(reached(self.birth, self.vaccine.std_fiscal_year_of))
            return start, date(start.year + 1, 3, 31)
        return None


def after(day: date, gap: Gap) -> date:
    """The first day that leaves the gap. N full days: + N + 1. Months: the same day, or the first of the next month."""
    if gap.months:
        return months_after(day, gap.months) + timedelta(days=gap.days)
    return days_between(day, gap.days)


def begins(vaccine: Vaccine, day: date) -> bool:
    """Whether new series begin with this vaccine on `day`."""
    since = vaccine.begins_from or vaccine.valid_from or date.min
    until = vaccine.begins_until or vaccine.valid_until or date.max
    return since <= day <= until


def was_offered(vaccine: Vaccine, birth: date) -> bool:
    """Whether any day of a child's window lies in the time in which the vaccine was given."""
    first, last = legal(vaccine, birth)
    since = vaccine.begins_from or vaccine.valid_from or date.min
    return last >= since and first <= (vaccine.begins_until or date.max)
