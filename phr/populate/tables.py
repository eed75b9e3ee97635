"""The data files of this package, read once. Every column is text until it is used."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

from phr.care import tables as care_tables
from phr.care.rule_file import shipped

DATA = Path(__file__).parent / "data"


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Rows of `data/{name}.csv`, one dict each; tables of child health are those of `phr.care`."""
    path = DATA / f"{name}.csv"
    if not path.exists():
        return care_tables.rows(name)
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@cache
def immunization_rules() -> dict[str, dict[str, Any]]:
    """The vaccination rules by vaccine id, in the order of the file."""
    return {vaccine["id"]: vaccine for vaccine in shipped()}
