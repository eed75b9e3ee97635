"""Grants flattened to rows that searches join (trust rules, section 3.3).

One row per Clause, purpose, action, author, item and choice of one actor from every naming node of its
chain. A row says what its Clause matches; which rows count is `scope.by_rows`, and its SQL twin.
`rows_of` and `rows_for_malformed` are pure; `rebuild` and `rows_for` touch the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any, TypeVar
from uuid import UUID

from consent import clauses, prepared, rules
from consent.decide import THIRD_PARTY, Capacity
from consent.models import EffectiveGrant, Grant, Subject, Suspension
from consent.scope import Category, Clause, GrantRow

T = TypeVar("T", str, int)


def rows_of(grant: int, subject: UUID, root: Clause) -> tuple[GrantRow, ...]:
    """All rows of one Grant. A Clause that can match nothing gives none."""
    return tuple(_walk(grant, subject, (root,), "0"))


def rows_for_malformed(grant: int, subject: UUID, told: object) -> tuple[GrantRow, ...]:
    """What cannot be read but contains a deny denies everything to third parties; a pure permit gives nothing (E-5)."""
    if not denies_somewhere(told):
        return ()
    return rows_of(grant, subject, Clause(permit=False, actors=frozenset({THIRD_PARTY})))


def denies_somewhere(told: object) -> bool:
    """Whether anything but `"permit": true` is said about permitting, at any depth; no tree counts as a deny."""
    if not isinstance(told, Mapping) or told.get("permit") is not True:
        return True
    below = told.get("clauses", [])
    return not isinstance(below, list) or any(denies_somewhere(child) for child in below)


def permits_somewhere(told: object) -> bool:
    """Whether anything permits, at any depth; what cannot be read permits nothing."""
    if not isinstance(told, Mapping):
        return False
    below = told.get("clauses", [])
    return told.get("permit") is True or (isinstance(below, list) and any(permits_somewhere(child) for child in below))


def _walk(grant: int, subject: UUID, chain: tuple[Clause, ...], path: str) -> Iterator[GrantRow]:
    yield from _rows(grant, subject, chain, path)
    for place, child in enumerate(chain[-1].clauses):
        yield from _walk(grant, subject, (*chain, child), f"{path}.{place}")


def _rows(grant: int, subject: UUID, chain: tuple[Clause, ...], path: str) -> Iterator[GrantRow]:
    permit = chain[-1].permit
    data = clauses.data_chain(chain)
    level, label_masks = _permit_labels(data) if permit else _deny_labels(data)
    low, high = _common_period([(c.data_low, c.data_high) for c in data])
    start, end = _common_period([(c.valid_from, c.valid_to) for c in chain])
    masks = [_mask(c.categories, clauses.ORDINARY_NAMES, permit) for c in data]
    impossible = (
        level is None
        or 0 in label_masks
        or 0 in masks
        or (low is not None and high is not None and low >= high)
        or (start is not None and end is not None and start >= end)
    )
    if impossible:
        return
    for purpose, action, author, item, grantees in product(
        _common([c.purposes for c in chain], clauses.PURPOSES.__contains__, permit),
        _common([c.actions for c in chain], clauses.ACTIONS.__contains__, permit),
        _common([c.authors for c in data], clauses.known_author, permit),
        _common([c.items for c in data], clauses.known_item, permit),
        _choices([c.actors for c in chain], permit),
    ):
        yield GrantRow(
            grant=grant, path=path, permit=permit, subject=subject, grantees=grantees, purpose=purpose, action=action,
            category_masks=tuple(dict.fromkeys(m for m in masks if m is not None)), label_masks=label_masks,
            level=level or 0, data_low=low, data_high=high, author=author, item=item, valid_from=start, valid_to=end,
        )  # fmt: skip


def _understood(values: frozenset[T] | None, known: Callable[[T], bool], permit: bool) -> frozenset[T] | None:
    """None = any. An unknown value is dropped from a permit and makes a deny speak of any."""
    if values is None:
        return None
    kept = frozenset(filter(known, values))
    return kept if permit or (kept == values and values) else None


def _common(stated: Sequence[frozenset[T] | None], known: Callable[[T], bool], permit: bool) -> list[T | None]:
    """The values all naming nodes share; [None] = any, [] = none is left."""
    understood = [_understood(values, known, permit) for values in stated]
    sets: list[frozenset[T]] = [values for values in understood if values is not None]
    if not sets:
        return [None]
    shared: list[T | None] = []
    shared.extend(sorted(sets[0].intersection(*sets[1:])))
    return shared


def _choices(stated: Sequence[frozenset[str] | None], permit: bool) -> list[tuple[str, ...]]:
    """One actor from every naming node. The last naming node is the most particular: it stands first, for the index."""
    sets = [sorted(kept) for a in stated if (kept := _understood(a, clauses.known_actor, permit)) is not None]
    return sorted({tuple(dict.fromkeys(choice)) for choice in product(*reversed(sets))})


def _mask(names: frozenset[str] | None, known: frozenset[str], permit: bool) -> int | None:
    kept = _understood(names, known.__contains__, permit)
    return None if kept is None else int(sum(Category[name] for name in kept))


def _permit_labels(data: Sequence[Clause]) -> tuple[int | None, tuple[int, ...]]:
    """Ceiling and the one mask of the nearest naming node; None = not understood, permits nothing."""
    naming = [c.labels for c in data if c.labels is not None]
    stated = [c.level for c in data if c.level is not None]
    ceiling = stated[-1] if stated else 3 if naming else 2
    mask = (_mask(naming[-1], clauses.LABEL_NAMES, True) or 0,) if naming else ()
    return (ceiling if ceiling in clauses.LEVELS else None), mask


def _deny_labels(data: Sequence[Clause]) -> tuple[int, tuple[int, ...]]:
    """Highest floor (the ceiling of a permit above is none) and the masks of all naming nodes."""
    floors = [c.level for c in data if not c.permit and c.level is not None and c.level in clauses.LEVELS]
    masks = [m for c in data if (m := _mask(c.labels, clauses.LABEL_NAMES, False)) is not None]
    return max(floors, default=0), tuple(dict.fromkeys(masks))


def _common_period(
    periods: Iterable[tuple[datetime | None, datetime | None]],
) -> tuple[datetime | None, datetime | None]:
    lows, highs = zip(*periods, strict=True)
    return (
        max((x for x in lows if x is not None), default=None),
        min((x for x in highs if x is not None), default=None),
    )


def rebuild(target: Subject | Grant) -> int:
    """Write the rows of all active Grants of a Subject, or of one Grant, anew; call it in the transaction that
    changes them. Returns how many rows stand now. A Subject that is locked or erased has none.
    """
    if isinstance(target, Grant):
        old = EffectiveGrant.objects.filter(grant=target)
        grants = [target] if target.state == Grant.State.ACTIVE else []
        active = target.subject.state == Subject.State.ACTIVE
    else:
        old = EffectiveGrant.objects.filter(subject=target)
        grants = list(Grant.objects.filter(subject=target, state=Grant.State.ACTIVE).select_related("subject"))
        active = target.state == Subject.State.ACTIVE
    old.delete()
    suspended = set(Suspension.objects.filter(grant__in=grants).values_list("grant_id", flat=True))
    rows = [row for grant in grants if active for row in rows_of_stored(grant)]
    rows = [row for row in rows if not (row.permit and row.grant in suspended)]
    EffectiveGrant.objects.bulk_create([_stored(row) for row in rows], batch_size=1000)
    return len(rows)


def rows_of_stored(grant: Grant) -> tuple[GrantRow, ...]:
    """The rows of a Grant as it stands in the table, readable or not."""
    rows = rows_if_answered(grant)
    return tuple(_answered(rows, grant.answered)) if grant.ask else rows


def _answered(rows: Iterable[GrantRow], provisions: Iterable[UUID]) -> Iterator[GrantRow]:
    """Ask each time: a permit counts only for the provision that was answered with yes; denies count as they are."""
    for row in rows:
        if not row.permit:
            yield row
            continue
        for provision in provisions:
            yield replace(row, grantees=(*row.grantees, f"provision:{provision}"))


def rows_if_answered(grant: Grant) -> tuple[GrantRow, ...]:
    """The rows a Grant has, or would have once the person is asked: what a provision is judged by."""
    try:
        root = clauses.clause_from_json(grant.root)
    except clauses.Malformed:
        return rows_for_malformed(grant.pk, grant.subject_id, grant.root)
    if grant.capacity == Capacity.GUARDIAN and grant.subject.birth_on is not None:
        root = _until(root, rules.adulthood(grant.subject.birth_on))
    return rows_of(grant.pk, grant.subject_id, root)


def _until(root: Clause, end: datetime) -> Clause:
    """What a guardian gave stops counting the moment the child is grown up (G-16)."""
    return replace(root, valid_to=end if root.valid_to is None else min(root.valid_to, end))


def _stored(row: GrantRow) -> EffectiveGrant:
    return EffectiveGrant(
        grant_id=row.grant, path=row.path, permit=row.permit, subject_id=row.subject,
        grantee=row.grantees[0] if row.grantees else "", grantees=list(row.grantees),
        purpose=row.purpose, action=row.action,
        category_masks=list(row.category_masks), label_masks=list(row.label_masks), level=row.level,
        data_low=row.data_low, data_high=row.data_high, author=row.author, item=row.item,
        valid_from=row.valid_from, valid_to=row.valid_to,
    )  # fmt: skip


# The columns of a GrantRow, of the effective-grant table under the alias e.
ROW = """e.grant_id, e.path, e.permit, e.subject_id, e.grantees, e.purpose, e.action, e.category_masks, e.label_masks,
  e.level, e.data_low, e.data_high, e.author, e.item, e.valid_from, e.valid_to"""
ROWS_FOR = f"""
SELECT {ROW} FROM consent_effectivegrant e WHERE e.subject_id = ANY(%s) AND e.grantee = ANY(%s)
"""


def rows_for(subjects: Iterable[UUID], actors: Iterable[str]) -> list[GrantRow]:
    """The rows of these Subjects that may speak of somebody with these names: one query, for the check in Python."""
    return [row_of(told) for told in prepared.fetch(ROWS_FOR, [list(subjects), first_grantees(actors)])]


def first_grantees(actors: Iterable[str]) -> list[str]:
    """What the `grantee` of a row that concerns these actors can be; "" = anyone."""
    return ["", *actors]


def row_of(told: Sequence[Any]) -> GrantRow:
    """The values of the columns `ROW`."""
    grant, path, permit, subject, grantees, purpose, action, category_masks, label_masks, level, *rest = told
    masks, labels = tuple(category_masks), tuple(label_masks)
    return GrantRow(grant, path, permit, subject, tuple(grantees), purpose, action, masks, labels, level, *rest)
