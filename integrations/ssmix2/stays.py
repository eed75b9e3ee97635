"""Which stay an event belongs to that does not name it (PV1-44 left out): the latest admission read before it. Pure.

Source: SS-MIX2 guideline 1.2h: no visit number exists.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from integrations.items import Item
from integrations.ssmix2.kinds import STAY

MOST = 10_000  # patients remembered; the storage is read person by person
_BEGIN = "ADT-22"


class Stays:
    """Admissions seen so far in one input. A stay whose discharge was seen is open no more."""

    def __init__(self) -> None:
        self._begun: OrderedDict[str, Item] = OrderedDict()

    def placed(self, item: Item) -> Item:
        """The Item under the key of its stay, where that can be told; else as it is."""
        kind, number = item.content["type"], item.identity.value
        if kind not in STAY:
            return item
        if kind == _BEGIN and item.key.endswith("|STAY|"):
            self._begun[number] = item
            self._begun.move_to_end(number)
            while len(self._begun) > MOST:
                self._begun.popitem(last=False)
            return item
        begun = self._begun.get(number)
        if begun is None or item.key.endswith("|STAY|") or item.said_at < begun.said_at or kind == "ADT-21":
            return item
        if kind == "ADT-52" and not item.deleted:
            del self._begun[number]
        admitted = begun.content["admitted"]
        return replace(item, key=begun.key, deleted=False, content={**item.content, "admitted": admitted})
