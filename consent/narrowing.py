"""Taking something out of a consent: the tree that permits the rest (withdrawal in part, IT-11). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from consent import clauses
from consent.scope import Clause


@dataclass(frozen=True, slots=True)
class Without:
    """What is taken out, everywhere it is permitted. Names as in a Clause."""

    categories: frozenset[str] = frozenset()  # ordinary ones and labels
    purposes: frozenset[str] = frozenset()
    actors: frozenset[str] = frozenset()

    @property
    def nothing(self) -> bool:
        return not (self.categories or self.purposes or self.actors)


def narrowed(root: Clause, without: Without) -> Clause | None:
    """The tree that says as much as before but for this; None: nothing permitted is left. Denies stay as they are."""
    return _narrowed(root, without, ())


def _narrowed(node: Clause, without: Without, above: tuple[Clause, ...]) -> Clause | None:
    chain = (*above, node)
    below = tuple(kept for child in node.clauses if (kept := _narrowed(child, without, chain)) is not None)
    if not node.permit:
        return replace(node, clauses=below)
    left = _left(node, without, covers_ordinary=not any(c.labels for c in clauses.data_chain(chain)))
    if left is not None:
        return replace(left, clauses=below)
    # What stood below on its own (a level-3 category permitted beside) moves up; a root that permits ends.
    own = [child for child in below if child.permit]
    if above or len(own) != 1:
        return None
    return _risen(node, own[0], without)


def _risen(root: Clause, child: Clause, without: Without) -> Clause | None:
    """A permit below a root that permits no more, standing by itself with what the root said of who, why and when."""
    told = replace(
        child, purposes=child.purposes or root.purposes, actors=child.actors or root.actors,
        actions=child.actions or root.actions, valid_from=child.valid_from or root.valid_from,
        valid_to=child.valid_to or root.valid_to,
        clauses=(*child.clauses, *(c for c in root.clauses if not c.permit)),
    )  # fmt: skip
    return _left(told, without, covers_ordinary=False)


def _left(node: Clause, without: Without, *, covers_ordinary: bool) -> Clause | None:
    """One permit without it; None where one of its lists is empty then."""
    parts = dict(_parts(node, without, covers_ordinary=covers_ordinary))
    if any(values == frozenset() for values in parts.values()):
        return None
    return replace(
        node, purposes=parts.get("purposes"), actors=parts.get("actors"), labels=parts.get("labels"),
        categories=parts.get("categories"),
    )  # fmt: skip


def _parts(node: Clause, without: Without, *, covers_ordinary: bool) -> Iterator[tuple[str, frozenset[str]]]:
    if node.purposes is not None:
        yield "purposes", node.purposes - without.purposes
    if node.actors is not None:
        yield "actors", node.actors - without.actors
    if node.labels is not None:
        yield "labels", node.labels - without.categories
    ordinary = without.categories & clauses.ORDINARY_NAMES
    if node.categories is not None:
        yield "categories", node.categories - ordinary
    elif ordinary and covers_ordinary:
        yield "categories", clauses.ORDINARY_NAMES - ordinary
