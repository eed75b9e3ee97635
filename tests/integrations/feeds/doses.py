"""A small feed for tests of the machinery: a line is a dose somebody was given.

number,birthDate,gender,date,lot,said_at,flags      flags: D deleted, H not disclosed, E cannot be read, M unmappable,
                                                    I invalid, 2 two resources, S with the doctor who gave it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from integrations.ids import resource_id
from integrations.items import About, Identity, Item, Mapped, Piece
from integrations.problems import Problem, Unreadable

KIND = "test-doses"
MAX_BYTES = 64 << 20
NEEDS = "Immunization"
SENDERS = frozenset({"municipality", "clinic"})
WAITS = True
KEEPS_ORIGINAL = True
SYSTEM = "https://city.example/number"
CVX = "http://hl7.org/fhir/sid/cvx"


def profiles() -> dict[str, str]:
    return {}


def items(pieces: Iterable[Piece], *, profile: str, code: str) -> Iterator[Item | Problem]:
    for piece in pieces:
        for line, text in enumerate(piece.stream, 1):
            cells = text.decode("utf-8", "replace").rstrip("\r\n").split(",")
            if cells[0] == "BROKEN":
                raise Unreadable([Problem("error", "broken", "壊れています。", "Broken.", line)])
            if len(cells) != 7:
                yield Problem("error", "cells", "項目数が違います。", "Not seven cells.", line)
                continue
            yield _item(cells, line, piece.name)


def _item(cells: list[str], line: int, piece: str) -> Item:
    number, birth, gender, day, lot, said_at, flags = cells
    problems = (Problem("error", "cell", "読めません。", "Cannot be read.", None, 5),) if "E" in flags else ()
    return Item(
        f"{number}|{day}", Identity(SYSTEM, number, "見本", "ミホン", birth, gender, "H" in flags),
        {"day": day, "lot": lot, "flags": flags.replace("D", "").replace("H", "")}, line, piece, said_at, "D" in flags,
        problems,
    )  # fmt: skip


def resources(item: Item, *, about: About) -> Mapped:
    said = item.content
    if "M" in said["flags"]:
        return Mapped([], (Problem("error", "unmappable", "変換できません。", "Cannot be mapped.", None, 4),))
    found = [_dose(item, about, "a")]
    if "2" in said["flags"]:
        found.append(_dose(item, about, "b"))
    if "S" in said["flags"]:
        doctor = resource_id("Practitioner", about.code, KIND, "doctor")
        found.insert(0, {"resourceType": "Practitioner", "id": doctor, "name": [{"text": "森"}]})
        found[1]["performer"] = [{"actor": {"reference": f"Practitioner/{doctor}"}}]
    return Mapped(found)


def _dose(item: Item, about: About, part: str) -> dict[str, Any]:
    said = item.content
    return {
        "resourceType": "Immunization", "id": resource_id("Immunization", about.code, KIND, item.key, part),
        "status": "wrong" if "I" in said["flags"] else "completed",
        "vaccineCode": {"coding": [{"system": CVX, "code": "20"}], "text": "DTaP"},
        "patient": {"reference": f"Patient/{about.subject}"}, "occurrenceDateTime": said["day"],
        "lotNumber": said["lot"],
        "protocolApplied": [{"doseNumberPositiveInt": 1, "targetDisease": [{"text": "ジフテリア"}]}],
    }  # fmt: skip
