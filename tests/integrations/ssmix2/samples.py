"""The sample messages, ways to spoil them, and lines to make more of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from uuid import UUID

from integrations.items import About

GOLDEN = Path(__file__).parents[2] / "golden" / "ssmix2"
ROOTS = (GOLDEN / "own", GOLDEN / "nhoHQ" / "sampleData")
CODE = "1319999991"
ABOUT = About(UUID("9a0a2b46-0000-4000-8000-000000000001"), 1, CODE, "見本病院", date(2026, 1, 13))
HANA = "PID|0001||9990001^^^^PI||見本^花子^^^^^L^I~ミホン^ハナコ^^^^^L^P||19750401|F"
VISIT = "PV1|0001|O|01^^^^^C"


def stored() -> list[tuple[str, bytes]]:
    """Every file of the sample storages: its path below its root, and its bytes."""
    return [
        (path.relative_to(root).as_posix(), path.read_bytes())
        for root in ROOTS
        for path in sorted(root.rglob("*"))
        if path.is_file()
    ]


def sample(part: str) -> tuple[str, bytes]:
    """The one sample whose path holds this."""
    [found] = [(path, data) for path, data in stored() if part in path]
    return found


def message(event: str, *lines: str, pid: str = HANA, number: str = "C1", at: str = "20260112101500",
            charset: str = "~ISO IR87") -> bytes:  # fmt: skip
    """Lines as a message, encoded as SS-MIX2 does, with the end mark of a file."""
    code = event.replace("^", "_")
    header = f"MSH|^~\\&|HIS999|SEND|GW|RCV|{at}||{event}^{code}|{number}|P|2.5||||||{charset}||ISO 2022-1994"
    text = "".join(line + "\r" for line in (header, pid, *lines))
    body = text.encode("utf-8") if "UTF-8" in charset else text.encode("iso2022_jp_ext")
    return body + b"\x1c\r"


def path_of(type: str, *, date: str = "20260112", order: str = "000000000000123", at: str = "20260112101500000",
            dept: str = "01", flag: str = "1", pid: str = "9990001") -> str:  # fmt: skip
    """Where the storage keeps a message."""
    name = f"{pid}_{date}_{type}_{order}_{at}_{dept}_{flag}"
    return f"{pid[:3]}/{pid[3:6]}/{pid}/{date}/{type}/{name}"
