"""What passes between the import machinery and a connector, as values. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.problems import Problem

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of an input: a file, or what one QR symbol held.

    `index` counts from 0 and `total` is the size of the set, as QR readers report them; `id` tells sets apart (the
    parity of Structured Append). None = not known.
    """

    data: bytes
    index: int | None = None
    total: int | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """An input after reading: its content, in the connector's own form, or the positions (from 1) still missing."""

    content: Any = None
    missing: tuple[int, ...] = ()
    problems: tuple[Problem, ...] = ()


def _no_trail(written: frozenset[str]) -> list[Resource]:
    return []


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written. `chunks` come in the same order every time; each is one transaction.

    `trail`: Provenance for the `Type/id`s a chunk really wrote. `follows`: a resource that is written only together
    with another (a Binary with its DocumentReference). `evidence`: what is written only where something else of its
    chunk is: the original of an input that tells nothing new is not kept. `updatable`: types whose untouched first
    version may be replaced by a newer reading of the same thing; all others stay as they are once they are there.
    """

    total: int
    chunks: Iterable[list[Resource]]
    trail: Callable[[frozenset[str]], list[Resource]] = _no_trail
    follows: Mapping[str, str] = field(default_factory=dict)
    evidence: frozenset[str] = frozenset()
    updatable: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
