"""The data files of this package, read once. Every column is text until it is used."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

DATA = Path(__file__).parent / "data"


@cache
def rows(name: str) -> list[dict[str, str]]:
    """Rows of `data/{name}.csv`, one dict each."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def immunization_rules() -> dict[str, dict[str, Any]]:
    """The vaccination rules by vaccine id, in the order of the file."""
    rules = msgspec.json.decode((DATA / "immunization_rules.json").read_bytes())
    return {vaccine["id"]: vaccine for vaccine in rules["vaccines"]}
