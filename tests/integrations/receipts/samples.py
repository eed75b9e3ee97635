"""The sample receipts, and lines to make more of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from integrations.items import About, Item, Mapped, Piece
from integrations.problems import Problem
from integrations.receipts import connector, mapping
from integrations.receipts.masters import NONE, Masters, load

GOLDEN = Path(__file__).parents[2] / "golden" / "receipts"
SOMEBODY = UUID("00000000-0000-4000-8000-000000000005")
CLINIC, PHARMACY = "1319999992", "1349999991"

IR = "IR,1,13,1,9999992,,見本クリニック,202602,00,03-0000-0002"
RE = "RE,1,1112,202601,見本　花子,2,19750401,,,,,,,00001" + "," * 23 + "ミホンハナコ,"
YK = "YK,1,13,4,9999991,見本薬局　駅前店,202602,00,03-0000-0001"
RX = "RE,1,4112,202601,見本　花子,2,19750401,,,13,1,9999992,見本クリニック,,医師　一郎" + "," * 27 + "ミホンハナコ"
HO = "HO,06139999,１１１,１２３４５６,1,250"


def sample(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def lines(*told: str) -> bytes:
    return "\r\n".join((*told, "")).encode("cp932")


def read(data: bytes, *, code: str | None = None) -> list[Item | Problem]:
    """What a file says; without `code`, brought in by whom its first line names."""
    code = "".join(data.decode("cp932", "replace").split(",")[2:5]) if code is None else code
    return list(connector.items([Piece("x", io.BytesIO(data))], profile="", code=code))


def receipts(data: bytes) -> Iterator[Item]:
    return (found for found in read(data) if isinstance(found, Item))


def mapped(item: Item, *, masters: Masters = NONE) -> Mapped:
    about = About(SOMEBODY, 1, item.key.split("|")[1], "見本", date(2026, 2, 10))
    return mapping.map_receipt(item.content, key=item.key, about=about, masters=masters)


def resources(data: bytes, *, masters: Masters = NONE) -> list[dict[str, Any]]:
    return [resource for item in receipts(data) for resource in mapped(item, masters=masters).resources]


def of_type(found: list[dict[str, Any]], type: str) -> list[dict[str, Any]]:
    return [resource for resource in found if resource["resourceType"] == type]


def the_masters() -> Masters:
    return load((path.name, path.read_bytes()) for path in (GOLDEN / "masters").glob("*.csv"))


def days(marked: dict[int, int]) -> str:
    """Columns for day 1 to 31."""
    return ",".join(str(marked.get(day, "")) for day in range(1, 32))
