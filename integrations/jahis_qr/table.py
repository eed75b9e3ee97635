"""The record table (`records.json`) as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `type` 9, X, N or D; `max` bytes in Shift_JIS; `req` *, 1, c or empty; `codes` names a list."""

    name: str
    type: str
    max: int
    req: str = ""
    since: str = "01"
    codes: str = ""
    vital: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    scope: str  # root, group-start, group, rp, tail
    repeat: bool
    fields: tuple[Field, ...]
    position: Mapping[str, int]  # field name -> index from 0


def _record(raw: dict[str, Any]) -> Record:
    fields = tuple(Field(**field) for field in raw["fields"])
    position = MappingProxyType({field.name: index for index, field in enumerate(fields)})
    return Record(raw["name"], raw["scope"], raw["repeat"], fields, position)


_TABLE: dict[str, Any] = json.loads((HERE / "records.json").read_text(encoding="utf-8"))
RECORDS: Mapping[str, Record] = {number: _record(raw) for number, raw in _TABLE["records"].items()}
VERSIONS: Mapping[str, str] = _TABLE["versions"]
CODES: Mapping[str, Mapping[str, str]] = _TABLE["codes"]
ERAS: Mapping[str, int] = _TABLE["eras"]
