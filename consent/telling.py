"""What of consents, and of the places they name, one reader of a record is told. Pure: trees in, what may be shown out.

A guardian is told no more than the record would tell: nothing a young person decided for herself (G-10), no label
beyond the guardian's own ceiling (G-05, G-12), no organisation where the place is hidden (G-08). What somebody gave
herself she knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from consent import rules
from consent.asking import Capacity
from consent.scope import LABELS, Category, Clause

PLACE = "org:hidden"  # stands where an organisation is not told
NAMES = {
    "ja": {PLACE: "（場所の保護のため表示しません）", "org:0": "（場所の保護のため表示しません）"},
    "en": {PLACE: "(not shown: the place is protected)", "org:0": "(not shown: the place is protected)"},
}
LABEL_BITS = {str(category.name): int(category) for category in Category if category & LABELS}
_PLACES = frozenset({"organization", "organizations", "recipient"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads about a record: herself, or a guardian of somebody of this age."""

    person: int
    capacity: Capacity
    age: int | None
    location_hidden: bool = False

    @classmethod
    def at(cls, now: datetime, *, person: int, capacity: Capacity, birth_on: Any, location_hidden: bool) -> Reader:
        age = None if birth_on is None else rules.age_on(birth_on, rules.today_in_japan(now))
        return cls(person=person, capacity=capacity, age=age, location_hidden=location_hidden)

    @property
    def place_hidden(self) -> bool:
        return self.location_hidden and self.capacity is not Capacity.SELF


def grant_shown(reader: Reader, *, root: Any, given_as: str, given_by: int | None) -> bool:
    """Whether this consent is there for the reader."""
    if reader.capacity is Capacity.SELF or given_by == reader.person:
        return True
    ceiling = None if reader.age is None else rules.guardian_ceiling(reader.age)
    if ceiling is None or reader.age is None:
        return False
    if given_as == Capacity.SELF and reader.age >= rules.OWN_LOGIN_AGE:
        return False
    return not labels_in(root) & ~ceiling.categories


def place_shown(reader: Reader, *, given_by: int | None = None) -> bool:
    """Whether the organisations that something names are told; `given_by`: whoever named them."""
    return not reader.place_hidden or given_by == reader.person


def labels_in(root: Any) -> int:
    """Every label that a tree names anywhere, as a mask; what cannot be read as a tree names all of them."""
    if not isinstance(root, Mapping):
        return int(LABELS)
    named = root.get("labels") or ()
    below = root.get("clauses") or ()
    if not isinstance(named, list | tuple) or not isinstance(below, list | tuple):
        return int(LABELS)
    mask = 0
    for name in named:
        mask |= LABEL_BITS.get(str(name), int(LABELS))
    for child in below:
        mask |= labels_in(child)
    return mask


def without_places(clause: Clause) -> Clause:
    """The tree with no organisation named: what was one is `PLACE`. How many there were does not show."""
    actors = clause.actors
    return replace(
        clause,
        actors=actors if actors is None else frozenset(PLACE if a.startswith("org:") else a for a in actors),
        authors=clause.authors if clause.authors is None else frozenset({0}),
        clauses=tuple(without_places(child) for child in clause.clauses),
    )


def notice_detail(reader: Reader, detail: Mapping[str, Any]) -> dict[str, Any]:
    """The detail of a notice as this reader is told of it."""
    if not reader.place_hidden:
        return dict(detail)
    return {name: value for name, value in detail.items() if name not in _PLACES}
