"""A dry run: every chunk is stored and taken back, and the counts are those of the real run.

Nothing of a chunk stays for the next one to meet. So what the input says again later on is remembered, and stored,
uncounted, before the chunk that says it again. In memory are only hashes of keys (8 bytes each, 16 where the key comes
again); what is remembered lies in a file without a name, sealed under a key that nobody but this process has.
"""

from __future__ import annotations

import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import transaction

from integrations import known
from integrations.items import Item
from integrations.problems import Problem
from integrations.storing import Source, Stored, store
from phr.records import sealed_files

_SIZE = 4  # bytes before each sealed Item that say its length
_BITS = (1 << 64) - 1


class Rehearsal:
    """What one dry run remembers: hashes of all keys while it surveys, then the Items of those that come twice.

    The hash is keyed anew for each process: two keys of one hash (once in some 10^7 runs of a million rows) are told
    apart when they are read, and cost no more than a count.
    """

    def __init__(self) -> None:
        self._seen = [array("Q") for _ in range(256)]  # by the first byte, so that sorting costs little at a time
        self._twice = array("Q")  # in order
        self._places = array("Q")  # of each of these in the file, from 1; 0 = nothing was said yet
        self._key = AESGCM(AESGCM.generate_key(256))
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the run

    def look(self, entry: Item | Problem) -> None:
        """Of each Item, before any is stored."""
        if isinstance(entry, Item):
            key = hash(entry.key) & _BITS
            self._seen[key >> 56].append(key)

    def store(self, source: Source, items: Sequence[Item], *, now: datetime) -> Stored:
        """What would come of a chunk; nothing of it stays. Call inside a transaction."""
        if self._seen:
            self._looked()
        earlier = self._recalled(items)
        point = transaction.savepoint()
        try:
            if earlier:
                store(source, earlier, now=now)
            return store(source, items, now=now)
        finally:
            transaction.savepoint_rollback(point)
            self._remember(items, now=now)

    def _looked(self) -> None:
        for keys in self._seen:
            found = (key for key, following in pairwise(sorted(keys)) if key == following)
            self._twice.extend(dict.fromkeys(found))
        self._places = array("Q", bytes(8 * len(self._twice)))
        self._seen = []

    def _recalled(self, items: Iterable[Item]) -> list[Item]:
        """What was said before of these keys, once each."""
        found = (self._said(key) for key in dict.fromkeys(item.key for item in items))
        return [item for item in found if item is not None]

    def _remember(self, items: Iterable[Item], *, now: datetime) -> None:
        for item in items:
            place = self._place(item.key)
            if place is None:
                continue
            before, said = self._said(item.key), known.said(item, now=now)
            latest = max(said, known.said(before, now=now) if before else "")
            if before is None or not said or said == latest:
                self._write(place, known.dated(item, latest) if latest else item)

    def _place(self, key: str) -> int | None:
        wanted = hash(key) & _BITS
        place = bisect_left(self._twice, wanted)
        return place if place < len(self._twice) and self._twice[place] == wanted else None

    def _write(self, place: int, item: Item) -> None:
        at = self._file.seek(0, 2)
        sealed = sealed_files.seal(self._key, msgspec.json.encode(item), str(at))
        self._file.write(len(sealed).to_bytes(_SIZE, "big") + sealed)
        self._places[place] = at + 1

    def _said(self, key: str) -> Item | None:
        place = self._place(key)
        if place is None or not self._places[place]:
            return None
        at = self._file.seek(self._places[place] - 1)
        sealed = self._file.read(int.from_bytes(self._file.read(_SIZE), "big"))
        item = msgspec.json.decode(sealed_files.unseal(self._key, sealed, str(at)), type=Item)
        return item if item.key == key else None
