"""Whether a new permit meets a standing deny: it would be given, and count for nothing (trust rules, E-1). Pure.

Two rows meet if somebody, something and some time may exist that both speak of. Where that cannot be told from
the rows alone, they meet: the person is asked once more, and no more than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from consent.scope import GrantRow

THIRD_PARTY = "class:third-party"


def meet(permits: Iterable[GrantRow], denies: Iterable[GrantRow], *, kinds: Mapping[str, str]) -> bool:
    """Whether a permit row meets a deny row. `kinds`: "org:3" -> "class:clinic", for those the rows name."""
    standing = [row for row in denies if not row.permit]
    return any(_meet(row, deny, kinds) for row in permits if row.permit for deny in standing)


def _meet(permit: GrantRow, deny: GrantRow, kinds: Mapping[str, str]) -> bool:
    return (
        all(_named(actor, permit.grantees, kinds) for actor in deny.grantees)
        and _same(permit.purpose, deny.purpose)
        and _same(permit.action, deny.action)
        and _same(permit.item, deny.item)
        and _same(permit.author, deny.author)
        and _overlap(permit.valid_from, permit.valid_to, deny.valid_from, deny.valid_to)
        and _overlap(permit.data_low, permit.data_high, deny.data_low, deny.data_high)
        and _data_meet(permit, deny)
    )


def _named(actor: str, grantees: tuple[str, ...], kinds: Mapping[str, str]) -> bool:
    """Whether somebody who has all the names of the permit may also have this one."""
    if actor == THIRD_PARTY:
        return True
    if actor.startswith("class:"):
        return all(kinds.get(g, actor) == actor for g in grantees if not g.startswith("class:")) and all(
            g in (actor, THIRD_PARTY) for g in grantees if g.startswith("class:")
        )
    same_kind = [g for g in grantees if g.partition(":")[0] == actor.partition(":")[0]]
    if same_kind:
        return actor in same_kind
    return all(kinds.get(actor, g) == g for g in grantees if g.startswith("class:"))


def _data_meet(permit: GrantRow, deny: GrantRow) -> bool:
    if not permit.label_masks:  # speaks of what has no label, up to its level
        if deny.label_masks:
            return False
    elif any(not permit.label_masks[0] & mask for mask in deny.label_masks):
        return False
    if deny.level > permit.level:
        return False
    return all(any(ours & theirs for ours in permit.category_masks) or not permit.category_masks
               for theirs in deny.category_masks)  # fmt: skip


def _same(one: object, other: object) -> bool:
    return one is None or other is None or one == other


def _overlap(low: datetime | None, high: datetime | None, start: datetime | None, end: datetime | None) -> bool:
    return not ((high and start and high <= start) or (end and low and end <= low))
