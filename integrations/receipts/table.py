"""The record table (`records.json`) and the usage codes of 調剤 (`usages.csv`) as values. Pure."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
Form = Literal["medical", "dispensing"]


def _positions(names: list[str]) -> dict[str, int]:
    """Field name -> index from 0; of a name that comes twice (予備) the first."""
    return {name: index for index, name in reversed(list(enumerate(names)))}


def _usages() -> dict[str, str]:
    with (HERE / "usages.csv").open(encoding="utf-8", newline="") as file:
        return {row["code"]: row["text"] for row in csv.DictReader(file)}


_TABLE: dict[str, Any] = json.loads((HERE / "records.json").read_text(encoding="utf-8"))
FIELDS: Mapping[Form, Mapping[str, Mapping[str, int]]] = {
    "medical": {record: _positions(names) for record, names in _TABLE["medical"].items()},
    "dispensing": {record: _positions(names) for record, names in _TABLE["dispensing"].items()},
}
NOT_READ: Mapping[Form, frozenset[str]] = {
    "medical": frozenset(_TABLE["known_but_not_read"]["medical"]),
    "dispensing": frozenset(_TABLE["known_but_not_read"]["dispensing"]),
}
USAGES: Mapping[str, str] = _usages()
