"""What a Grant written here may say (trust rules E-3, E-7, IT-03, IT-25, G-10, G-14, G-18). Pure.

Trees from elsewhere may say more; they stay proposed until they fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from consent import clauses, rules
from consent.effective import rows_of
from consent.refusal import Refusal
from consent.scope import Category, Clause

T = TypeVar("T", str, int)
DEEPEST = 2  # levels below the root
MOST_ROWS = 1000
PROXY_MONTHS = 18  # G-18
CLASS_DAYS = 366  # IT-03: a year
YEARS = range(1800, 2200)  # what a person can mean; every time zone of it is a date


class OutsideProfile(Refusal):
    """The tree says what a Grant may not say. `place` is the path of the Clause, `why` in both languages."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(why, place=place)


def check(root: Clause, *, now: datetime) -> None:
    """Raise OutsideProfile at the first Clause that says too much; `now` bounds the periods."""
    for place, chain in _chains((root,), "root"):
        _check_shape(place, chain)
        _check_values(place, chain[-1])
        if chain[-1].permit:
            _check_permit(place, chain, now)
    if len(rows_of(0, UUID(int=0), root)) > MOST_ROWS:
        raise OutsideProfile("root", "組み合わせが多すぎます / names too many combinations")


def takes_both(root: Clause) -> bool:
    """Whether both guardians must agree (G-14): research and whatever else is not care, or a class of recipients."""
    return any(chain[-1].permit and _alone_too_wide(chain) for _, chain in _chains((root,), "root"))


def check_guardian(root: Clause, *, age: int, guardians: frozenset[int]) -> None:
    """What only the person herself may say. `guardians`: all persons with an open link to the Subject."""
    actors = root.actors or frozenset()
    if not actors or any(f"person:{g}" in actors for g in guardians):
        raise OutsideProfile("root", "保護者どうしを外すことはできません / a guardian cannot shut another guardian out")
    ceiling = rules.guardian_ceiling(age)
    for place, chain in _chains((root,), "root"):
        if not chain[-1].permit:
            continue
        if ceiling is None or age >= rules.OWN_CONSENT_AGE:
            raise OutsideProfile(place, "16歳からは本人が同意します / from 16 the young person consents")
        if not _within(chain, ceiling):
            raise OutsideProfile(place, "保護者が見られる範囲を超えます / wider than a guardian may see")


def _alone_too_wide(chain: tuple[Clause, ...]) -> bool:
    stated = [c.purposes for c in chain if c.purposes is not None]
    actors = [c.actors for c in chain if c.actors is not None]
    beyond_care = not stated or not stated[-1] <= rules.CARE_PURPOSES
    return beyond_care or any(a.startswith("class:") for a in (actors[-1] if actors else ()))


def _within(chain: tuple[Clause, ...], ceiling: rules.Ceiling) -> bool:
    """Whether everything a permit names lies inside a guardian's own ceiling (G-10)."""
    data = clauses.data_chain(chain)
    labels = [c.labels for c in data if c.labels is not None]
    if labels and any(Category[name] & ~ceiling.categories for name in labels[-1]):
        return False
    if ceiling is rules.FULL or labels:
        return True
    named = [c.categories for c in data if c.categories is not None]
    return bool(named) and not any(Category[name] & ~ceiling.categories for name in named[-1])


def _chains(chain: tuple[Clause, ...], place: str) -> Iterator[tuple[str, tuple[Clause, ...]]]:
    yield place, chain
    for number, child in enumerate(chain[-1].clauses):
        yield from _chains((*chain, child), f"{place}.clauses[{number}]")


def _check_shape(place: str, chain: tuple[Clause, ...]) -> None:
    if len(chain) > DEEPEST + 1:
        raise OutsideProfile(place, "入れ子が深すぎます / nested too deeply")
    if len(chain) == 1 or chain[-1].permit != chain[-2].permit:
        return
    # E-3: an ordinary and a level-3 category allowed together stand as a permit and a permit below it.
    if not (len(chain) == 2 and chain[-1].permit and chain[-1].labels):
        raise OutsideProfile(place, "許可と拒否は交互に / permit and deny must alternate")


def _check_values(place: str, clause: Clause) -> None:
    understood = {
        "purposes": _each(clause.purposes, clauses.PURPOSES.__contains__),
        "actors": _each(clause.actors, clauses.known_actor),
        "actions": _each(clause.actions, clauses.ACTIONS.__contains__),
        "categories": _each(clause.categories, clauses.ORDINARY_NAMES.__contains__),
        "labels": _each(clause.labels, clauses.LABEL_NAMES.__contains__),
        "level": clause.level is None or clause.level in clauses.LEVELS,
        "authors": _each(clause.authors, clauses.known_author),
        "items": _each(clause.items, clauses.known_item),
        "valid_to": _ordered(clause.valid_from, clause.valid_to),
        "data_high": _ordered(clause.data_low, clause.data_high),
    }
    for name, well in understood.items():
        if not well:
            raise OutsideProfile(f"{place}.{name}", "この値は使えません / a value that is not understood")


def _each(values: frozenset[T] | None, known: Callable[[T], bool]) -> bool:
    """Not stated, or at least one and every one understood."""
    return values is None or (bool(values) and all(map(known, values)))


def _ordered(low: datetime | None, high: datetime | None) -> bool:
    if any(end is not None and (end.tzinfo is None or end.year not in YEARS) for end in (low, high)):
        return False
    return low is None or high is None or low < high


def _check_permit(place: str, chain: tuple[Clause, ...], now: datetime) -> None:
    root, clause = chain[0], chain[-1]
    if root.permit and (root.actors is None or root.purposes is None):
        raise OutsideProfile("root", "相手と目的が必要です / a permit names its actors and purposes")
    if clause.labels and clause.categories:
        raise OutsideProfile(place, "機微な項目は別に指定します / a level-3 category stands in a clause of its own")
    if (clause.level or 0) > 2 and not clause.labels:
        raise OutsideProfile(f"{place}.level", "機微な項目は名を挙げて許可します / level 3 is permitted only by name")
    if not root.permit:
        return
    actors = frozenset().union(*(c.actors or () for c in chain))
    if any(actor.startswith("class:") for actor in root.actors or ()):
        _check_class(place, chain, now)
    if "class:third-party" in actors:
        raise OutsideProfile(f"{place}.actors", "すべての第三者には許可できません / nobody permits everybody")
    if any(actor.startswith("person:") for actor in root.actors or ()):
        _check_proxy(place, chain, now)


def _check_class(place: str, chain: tuple[Clause, ...], now: datetime) -> None:
    if not any(c.categories or c.items for c in clauses.data_chain(chain)):
        raise OutsideProfile(f"{place}.categories", "包括同意は項目を挙げます / to a class, categories are named")
    if any(c.labels for c in chain):
        raise OutsideProfile(f"{place}.labels", "包括同意に機微な項目は含められません / a class never gets level 3")
    if not _ends_by(chain, now + timedelta(days=CLASS_DAYS)):
        raise OutsideProfile(f"{place}.valid_to", "包括同意は1年まで / a class gets a year at most")


def _check_proxy(place: str, chain: tuple[Clause, ...], now: datetime) -> None:
    if not any(c.categories or c.labels or c.items for c in chain):
        raise OutsideProfile(place, "代理人には項目を指定します / a proxy gets named categories only")
    last: date = rules.months_after(rules.today_in_japan(now), PROXY_MONTHS) + timedelta(days=1)
    if not _ends_by(chain, datetime(last.year, last.month, last.day, tzinfo=rules.JST)):
        raise OutsideProfile(f"{place}.valid_to", "代理は18か月まで / a proxy gets 18 months at most")


def _ends_by(chain: tuple[Clause, ...], latest: datetime) -> bool:
    return any(c.valid_to is not None and c.valid_to <= latest for c in chain)
