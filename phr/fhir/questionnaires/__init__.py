"""The Questionnaires the project brings along, by canonical URL: one JSON file each, every published version kept."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@cache
def bundled() -> Mapping[tuple[str, str], dict[str, Any]]:
    """(url, version) -> Questionnaire, the newest version of each last."""
    found = [_decoder.decode(file.read_bytes()) for file in sorted(HERE.glob("*.json"))]
    return {(q["url"], q["version"]): q for q in sorted(found, key=lambda q: (q["url"], q["version"]))}


def find(canonical: str) -> dict[str, Any] | None:
    """The Questionnaire of `url|version`, or the newest of `url`."""
    url, _, version = canonical.partition("|")
    found = [q for (u, v), q in bundled().items() if u == url and version in ("", v)]
    return found[-1] if found else None
