"""A dry run: every chunk is stored and taken back, and the counts are those of the real run.

Nothing of a chunk stays for the next one to meet. So what the input says again later on is remembered, and stored,
uncounted, before the chunk that says it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from integrations.items import Item
from integrations.problems import Problem
from integrations.storing import Source, Stored, store


class Rehearsal:
    """What one dry run remembers: hashes of all keys while it surveys, then the Items of those that come twice."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._twice: set[int] = set()
        self._said: dict[str, Item] = {}

    def look(self, entry: Item | Problem) -> None:
        """Of each Item, before any is stored. Two keys of one hash cost a little memory, and nothing else."""
        if isinstance(entry, Item):
            key = hash(entry.key)
            (self._twice if key in self._seen else self._seen).add(key)

    def store(self, source: Source, items: Sequence[Item], *, now: datetime) -> Stored:
        """What would come of a chunk; nothing of it stays. Call inside a transaction."""
        self._seen.clear()
        earlier = [self._said[key] for key in dict.fromkeys(item.key for item in items) if key in self._said]
        point = transaction.savepoint()
        try:
            if earlier:
                store(source, earlier, now=now)
            return store(source, items, now=now)
        finally:
            transaction.savepoint_rollback(point)
            self._remember(items)

    def _remember(self, items: Sequence[Item]) -> None:
        for item in items:
            before = self._said.get(item.key)
            if hash(item.key) in self._twice and (before is None or item.said_at >= before.said_at):
                self._said[item.key] = item
