"""The sample files, and lines to make more of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

GOLDEN = Path(__file__).parents[2] / "golden" / "jahis"
PEER = GOLDEN / "jahis-rx-parser" / "fixtures"
NOON = datetime(2026, 1, 13, 12, 0, tzinfo=timezone(timedelta(hours=9)))

HANA = "1,見本　花子,2,S500401,,,,,,,ミホン　ハナコ"
GROUP = ("5,20260112,1", "11,見本薬局,13,4,9999991,,,,1", "51,見本クリニック,13,1,9999992,1", "55,医師　一郎,内科,1")
DRUG = ("201,1,見本錠５ｍｇ,1,錠,4,2171022F2999,1", "301,1,分１,28,日分,1,1,,1")


def sample(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def notebook(*lines: str, header: str = "JAHISTC08,1", encoding: str = "cp932") -> bytes:
    """Lines as a file, with header and patient."""
    return "\r\n".join((header, HANA, *lines, "")).encode(encoding)
