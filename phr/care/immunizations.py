"""What the vaccination table says for one person on one day: doses counted by disease, and what comes next.

Diseases are counted, not products: five-in-one, four-in-one + Hib and mixtures count for each disease they protect
against. The table is quoted; what to do is decided with the doctor and the municipality.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from phr.care.courses import Assessed, Course, Given, Next, begins, was_offered
from phr.care.rule_file import Vaccine
from phr.care.rules import Rules
from phr.care.windows import Illness, Window, in_order, legal, windows


class State(StrEnum):
    """How a series stands on a day."""

    NOT_YET = "not-yet"  # before the first legal day
    POSSIBLE = "possible"  # legal, before the standard period
    DUE = "due"  # in the standard period, or legal where the table gives none
    OVERDUE = "overdue"  # after the standard period, still legal
    NOT_ADVISED = "not-advised"  # legal, but the table no longer advises to begin
    AGED_OUT = "aged-out"  # no legal day is left
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Person:
    """Whom it is about. `sex`: FHIR administrative gender, "" = not said."""

    birth: date
    sex: str
    given: tuple[Given, ...] = ()
    illnesses: tuple[Illness, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One series. `vaccine`: whose rule it is; `vaccines`: what may be given next, none when nothing is left."""

    vaccine: str
    diseases: tuple[str, ...]
    state: State
    given: tuple[Assessed, ...]
    vaccines: tuple[str, ...] = ()
    next: Next | None = None
    voluntary: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer. `unplaced`: doses that count for no series of the table."""

    rules: str
    day: date
    lines: tuple[Line, ...]
    unplaced: tuple[Given, ...]


Key = tuple[str, int]  # disease, period


def plan(person: Person, *, day: date, rules: Rules) -> Plan:
    """The lines of one person as they stand on `day`: only doses up to that day count."""
    given = sorted((g for g in person.given if g.on <= day and g.product in rules.products), key=lambda g: g.on)
    lives = [g.on for g in given if g.product in rules.live]
    placed = _placed(person, given, rules)
    lines: list[Line] = []
    for vaccine, diseases, doses in _groups(person, placed, day, rules):
        lines += _seasonal(person, vaccine, diseases, doses, lives, day, rules)
    order = {id: number for number, id in enumerate(rules.vaccines)}
    lines = _joined(sorted(lines, key=lambda line: order[line.vaccine]), rules)
    return Plan(rules.version, day, tuple(_held_back(lines, rules)), _unplaced(person, day, rules))


def _unplaced(person: Person, day: date, rules: Rules) -> tuple[Given, ...]:
    counted = {disease for disease, _ in rules.series_of}
    return tuple(
        g
        for g in person.given
        if g.on <= day and (g.product not in rules.products or counted.isdisjoint(rules.products[g.product].disease))
    )


def _placed(person: Person, given: Sequence[Given], rules: Rules) -> dict[Key, list[Given]]:
    """Every dose under each disease it protects against, and under the period it belongs to."""
    found: dict[Key, list[Given]] = {key: [] for key in rules.series_of}
    for dose in given:
        product = rules.products[dose.product]
        for disease in product.disease:
            if (disease, 1) in found:
                period = _period(person, dose, disease, found, rules)
                found[disease, period].append(dose)
    return found


def _period(person: Person, dose: Given, disease: str, found: dict[Key, list[Given]], rules: Rules) -> int:
    """第1期 or 第2期: as the record says, else by the day; in a cohort of exceptions the first fills first."""
    if (disease, 2) not in rules.series_of:
        return 1
    named = rules.vaccines.get(dose.product)
    if named is not None:
        return named.period
    first, second = rules.series_of[disease, 1][0], rules.series_of[disease, 2][0]
    if in_order(rules, first.id, person.birth):
        return 1 if len(found[disease, 1]) < first.doses else 2
    return 1 if dose.on < legal(second, person.birth)[0] else 2


def _groups(
    person: Person, placed: dict[Key, list[Given]], day: date, rules: Rules
) -> Iterator[tuple[Vaccine, tuple[str, ...], list[Given]]]:
    """Diseases that stand alike under one rule, together."""
    found: dict[tuple[str, tuple[int, ...]], tuple[Vaccine, list[str], list[Given]]] = {}
    for (disease, period), doses in placed.items():
        for vaccine in _rules_for(person, disease, period, doses, placed, day, rules):
            key = (vaccine.id, tuple(id(dose) for dose in doses))
            found.setdefault(key, (vaccine, [], doses))[1].append(disease)
    for vaccine, diseases, doses in found.values():
        yield vaccine, tuple(d for d in vaccine.disease if d in diseases), doses


def _rules_for(
    person: Person, disease: str, period: int, doses: list[Given], placed: dict[Key, list[Given]], day: date,
    rules: Rules,
) -> list[Vaccine]:  # fmt: skip
    """The rule a disease is counted by: that of the product begun with, else of what is begun with now."""
    series = rules.series_of[disease, period]
    if doses:
        named = [v for v in series if v.id == doses[0].product]
        then = [v for v in series if begins(v, doses[0].on)]
        return (named or then or list(series))[:1]
    fitting = [v for v in series if _is_for(v, person)]
    if len(fitting) < 2:
        return [v for v in fitting if was_offered(v, person.birth)]
    now = [v for v in fitting if begins(v, max(day, legal(v, person.birth)[0]))] or fitting[:1]
    untouched = [v for v in now if not _begun_otherwise(v, disease, placed)]
    narrower = [v for v in fitting if not _begun_otherwise(v, disease, placed)]
    return [v for v in (untouched or narrower[:1] or now) if was_offered(v, person.birth) or v.legacy]


def _is_for(vaccine: Vaccine, person: Person) -> bool:
    return not (vaccine.sex == "F" and person.sex == "male") and not (vaccine.sex == "M" and person.sex == "female")


def _begun_otherwise(vaccine: Vaccine, disease: str, placed: dict[Key, list[Given]]) -> bool:
    """Whether a combination protects against something for which doses were already given apart."""
    return any(placed.get((other, vaccine.period)) for other in vaccine.disease if other != disease)


def _seasonal(
    person: Person, vaccine: Vaccine, diseases: tuple[str, ...], doses: list[Given], lives: Sequence[date], day: date,
    rules: Rules,
) -> Iterator[Line]:  # fmt: skip
    """The line of a series; of one that begins anew each season, that of the season of `day` or the coming one."""
    open_on = windows(rules, vaccine, person.birth, person.illnesses)
    if vaccine.season is None:
        yield _line(person, vaccine, diseases, doses, open_on, lives, day, rules)
        return
    first, last = _season(vaccine.season, day)
    span = (max(first, open_on[0][0]), last)
    within = [dose for dose in doses if dose.on >= first]
    if span[0] <= span[1]:
        yield _line(person, vaccine, diseases, within, (span,), lives, day, rules)


def _season(season: tuple[str, str], day: date) -> tuple[date, date]:
    begin, end = (tuple(int(part) for part in edge.split("-")) for edge in season)
    year = day.year if (day.month, day.day) > end else day.year - 1
    return date(year, begin[0], begin[1]), date(year + 1, end[0], end[1])


def _line(
    person: Person, vaccine: Vaccine, diseases: tuple[str, ...], doses: Sequence[Given], open_on: tuple[Window, ...],
    lives: Sequence[date], day: date, rules: Rules,
) -> Line:  # fmt: skip
    course = Course(rules, vaccine, person.birth, open_on)
    for dose in doses:
        course.take(dose, lives)
    given = tuple(
        Assessed(dose, vaccine.id, diseases, number, flags)
        for number, (dose, flags) in enumerate(zip(course.doses, course.flags, strict=True), start=1)
    )
    if course.step(day) is None:
        return Line(vaccine.id, diseases, State.COMPLETE, given, voluntary=vaccine.voluntary)
    before = doses[-1].on if doses else None
    coming = course.next(day, live=max(lives, default=None), before=before)
    if coming is None or not _is_for(vaccine, person):
        return Line(vaccine.id, diseases, State.AGED_OUT, given, voluntary=vaccine.voluntary)
    state = State.NOT_ADVISED if coming.refused else _state(coming, day)
    vaccines = () if coming.refused else (coming.vaccine,)
    return Line(vaccine.id, diseases, state, given, vaccines, coming, vaccine.voluntary)


def _state(coming: Next, day: date) -> State:
    if day < coming.earliest:
        return State.NOT_YET
    if day < coming.recommended:
        return State.POSSIBLE
    return State.OVERDUE if coming.standard_until and day > coming.standard_until else State.DUE


# -- lines together ---------------------------------------------------------------------------------


def _joined(lines: list[Line], rules: Rules) -> list[Line]:
    """Let lines of one product agree on a day, or name products that protect against what is open only."""
    out = []
    for line in lines:
        if line.next is None or not line.vaccines:
            out.append(line)
            continue
        alike = [other for other in lines if other.next and other.vaccines == line.vaccines]
        out.append(_agreed(line, alike, rules))
    return _alternatives(out)


def _agreed(line: Line, alike: Sequence[Line], rules: Rules) -> Line:
    """The line with the product that can be given without harm to the others; no product where there is none."""
    product = rules.vaccines[line.vaccines[0]]
    needed = {disease for other in alike for disease in other.diseases}
    nexts = [other.next for other in alike if other.next]
    apart = {n.earliest for n in nexts}
    narrower = {other.diseases: _narrower(other, product, rules) for other in alike}
    if not needed.issuperset(product.disease) or (len(apart) > 1 and all(narrower.values())):
        return replace(line, vaccines=narrower[line.diseases])
    assert line.next is not None
    earliest, recommended = max(apart), max(n.recommended for n in nexts)
    return replace(line, next=replace(line.next, earliest=earliest, recommended=recommended))


def _narrower(line: Line, product: Vaccine, rules: Rules) -> tuple[str, ...]:
    """A product against nothing but what is open, against most of it; none where there is none."""
    among = [v.id for v in rules.series_of[line.diseases[0], product.period]] + [p.id for p in rules.file.products]
    fitting = [id for id in among if set(rules.products[id].disease) <= set(line.diseases)]
    return tuple(sorted(fitting, key=lambda product: -len(rules.products[product].disease))[:1])


def _alternatives(lines: list[Line]) -> list[Line]:
    """One line where several products are offered to begin the same series."""
    out: list[Line] = []
    for line in lines:
        same = next((o for o in out if not o.given and not line.given and o.diseases == line.diseases
                     and _when(o) == _when(line)), None)  # fmt: skip
        if same is None:
            out.append(line)
        else:
            out[out.index(same)] = replace(same, vaccines=(*same.vaccines, *line.vaccines))
    return out


def _when(line: Line) -> tuple[State, date | None, date | None]:
    return line.state, line.next.earliest if line.next else None, line.next.recommended if line.next else None


def _held_back(lines: Iterable[Line], rules: Rules) -> Iterator[Line]:
    """Leave out a second period while the first can still be completed in its time."""
    kept = list(lines)
    for line in kept:
        vaccine = rules.vaccines[line.vaccine]
        first = [o for o in kept if vaccine.period == 2 and rules.vaccines[o.vaccine].period == 1
                 and set(o.diseases) & set(line.diseases) and o.next]  # fmt: skip
        if not (line.next and any(o.next and o.next.last >= line.next.earliest for o in first)):
            yield line


# -- before birth -----------------------------------------------------------------------------------


def maternal(expected: date, given: Sequence[Given], *, day: date, rules: Rules) -> list[Line]:
    """What the table says for a pregnancy, by its expected date: the window runs by days of gestation."""
    return [
        _of_pregnancy(vaccine, expected, given, day, rules)
        for vaccine in rules.vaccines.values()
        if vaccine.gestation_days and begins(vaccine, _gestation(vaccine, expected)[1])
    ]


def _gestation(vaccine: Vaccine, expected: date) -> tuple[date, date]:
    assert vaccine.gestation_days is not None
    start = expected - timedelta(days=280)
    return start + timedelta(days=vaccine.gestation_days[0]), start + timedelta(days=vaccine.gestation_days[1])


def _of_pregnancy(vaccine: Vaccine, expected: date, given: Sequence[Given], day: date, rules: Rules) -> Line:
    first, last = _gestation(vaccine, expected)
    first = max(first, vaccine.valid_from or first)
    conceived = expected - timedelta(days=280)
    course = Course(rules, vaccine, conceived, ((first, last),))
    mine = (g for g in given if g.product == vaccine.id and conceived <= g.on <= day)
    for dose in sorted(mine, key=lambda g: g.on):
        course.take(dose, ())
    assessed = tuple(
        Assessed(dose, vaccine.id, vaccine.disease, number, flags)
        for number, (dose, flags) in enumerate(zip(course.doses, course.flags, strict=True), start=1)
    )
    if course.doses:
        return Line(vaccine.id, vaccine.disease, State.COMPLETE, assessed)
    coming = course.next(day, live=None, before=None)
    if coming is None:
        return Line(vaccine.id, vaccine.disease, State.AGED_OUT, assessed)
    return Line(vaccine.id, vaccine.disease, _state(coming, day), assessed, (vaccine.id,), coming)
