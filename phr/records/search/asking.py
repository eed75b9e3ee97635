"""What a statement is compiled with: parameters, keys, the caller's scope, and what is known of its rows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from phr.records.scoping import SQL, Params


class Scopes(Protocol):
    """What the caller may touch of an alias.

    `same`: its row is about the person the searched rows are about.
    `common`: it may be of a type that belongs to no one.
    """

    def __call__(self, alias: str, *, same: bool = False, common: bool = True) -> SQL: ...


@dataclass(slots=True)
class Asking:
    """What one statement is made with. `few`: its own rows are one person's record, or a few; `about`: the persons one
    of whom is the first subject of each."""

    p: Params
    key: bytes
    scope: Scopes
    few: bool = False
    about: frozenset[UUID] = frozenset()
    tables: int = 0

    def table(self) -> str:
        """An alias that is not used yet."""
        self.tables += 1
        return f"t{self.tables}"


@dataclass(frozen=True, slots=True)
class Row:
    """The row a condition speaks of: its alias, and whether it is one of few.

    `same`: it is about a person the search is bound to (`Asking.about`).
    `walked`: it is found by walking that record; an index of terms would only cost time.
    `open`: it belongs to no one; of such there are few beside the records.
    """

    alias: str
    few: bool
    same: bool = False
    walked: bool = False
    open: bool = False
