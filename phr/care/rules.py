"""The rules that hold on a day, indexed for questions: by id, by disease, by code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import msgspec

from phr.care.rule_file import Exemption, Product, RuleFile, Step, Track, Vaccine, read_folder
from phr.care.tables import DATA, rows


@dataclass(frozen=True, eq=False, slots=True)
class Rules:
    """A rule file, ready. Compared and hashed by identity.

    `products`: everything that can stand in a record, series or not. `series_of`: (disease, period) -> its vaccines.
    `steps`: vaccine id -> the steps of each track, dose 1 first. `period_of`: vaccine id -> its period.
    """

    file: RuleFile
    vaccines: Mapping[str, Vaccine]
    products: Mapping[str, Product | Vaccine]
    series_of: Mapping[tuple[str, int], tuple[Vaccine, ...]]
    steps: Mapping[str, tuple[tuple[Step, ...], ...]]
    by_cvx: Mapping[str, str]
    by_receipt: Mapping[str, str]  # disease codes of receipts -> disease
    exceptions_of: Mapping[str, tuple[Exemption, ...]]
    live: frozenset[str]

    @property
    def version(self) -> str:
        return f"{self.file.ruleset} {self.file.version}"


def diseases() -> dict[str, dict[str, str]]:
    """The diseases the tables know: disease_id -> its row."""
    return {row["disease_id"]: row for row in rows("immunization_disease_codes")}


@cache
def _all(folder: Path) -> tuple[Rules, ...]:
    known = frozenset(diseases())
    files = {file.valid_from: file for place in (DATA, folder) for file in read_folder(place, diseases=known)}
    return tuple(indexed(files[day]) for day in sorted(files))


def rules_at(day: date, folder: Path = DATA) -> Rules:
    """The rules of a day: the newest file valid then. On a day that no file holds for: the newest before it, else the
    first. The files of a folder lie over those that come with the product; of one day, the folder's. Raises
    RuleFileError."""
    found = _all(folder)
    begun = [r for r in reversed(found) if r.file.valid_from <= day]
    return next((r for r in begun if holds(r, day)), begun[0] if begun else found[0])


def holds(rules: Rules, day: date) -> bool:
    """Whether a file says that it is valid on a day."""
    return rules.file.valid_from <= day <= (rules.file.valid_until or date.max)


def indexed(file: RuleFile) -> Rules:
    vaccines = {v.id: v for v in file.vaccines}
    products: dict[str, Product | Vaccine] = {p.id: p for p in file.products}
    products |= vaccines
    by_cvx: dict[str, str] = {}
    for one in products.values():  # a product without a period first: 04 is MR, not its first period
        for code in one.cvx:
            by_cvx.setdefault(code, one.id)
    return Rules(
        file=file,
        vaccines=vaccines,
        products=products,
        series_of=_series_of(file.vaccines),
        steps={v.id: _steps(v) for v in file.vaccines},
        by_cvx=by_cvx,
        by_receipt={row["recept_disease_7"]: id for id, row in diseases().items() if row["recept_disease_7"]},
        exceptions_of={v: tuple(e for e in file.exceptions if v in e.vaccines) for v in vaccines},
        live=frozenset(id for id, one in products.items() if one.type == "live-injectable"),
    )


def _series_of(vaccines: Iterable[Vaccine]) -> dict[tuple[str, int], tuple[Vaccine, ...]]:
    found: dict[tuple[str, int], list[Vaccine]] = {}
    for vaccine in vaccines:
        if vaccine.subject == "child":
            for disease in vaccine.disease:
                found.setdefault((disease, vaccine.period), []).append(vaccine)
    return {key: tuple(series) for key, series in found.items()}


def _steps(vaccine: Vaccine) -> tuple[tuple[Step, ...], ...]:
    if not vaccine.by_start_age:
        return (with_first(vaccine.series),)
    return tuple(_of_track(track) for track in vaccine.by_start_age)


def _of_track(track: Track) -> tuple[Step, ...]:
    """The steps of a track; its primary doses share one standard period."""
    steps = with_first(track.series)
    if track.primary_std_end is None:
        return steps
    span = (track.start[0], track.primary_std_end)
    return tuple(step if step.booster or step.std else msgspec.structs.replace(step, std=span) for step in steps)


def with_first(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of a series; where the file leaves dose 1 implied, with it."""
    return tuple(steps) if steps and steps[0].n == 1 else (Step(n=1), *steps)


def resolved(rules: Rules, against: frozenset[str], on: date) -> str | None:
    """The one product against exactly these diseases that was begun with on a day; None where several or none could be.

    A product without a period goes first: what it counts for is decided by its day.
    """
    for among in (rules.file.products, rules.file.vaccines):
        fitting = [one for one in among if frozenset(one.disease) == against]
        now = [one for one in fitting if isinstance(one, Product) or _given_on(one, on)]
        if len(now) == 1:
            return now[0].id
        if len(fitting) == 1:
            return fitting[0].id
    return None


def _given_on(vaccine: Vaccine, on: date) -> bool:
    since = vaccine.begins_from or vaccine.valid_from or date.min
    return since <= on <= (vaccine.begins_until or vaccine.valid_until or date.max)
