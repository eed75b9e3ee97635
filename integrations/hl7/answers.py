"""The answer to a message: ACK with MSA and, where it was not taken, ERR. Pure.

AA: what was said is kept. AE: it is not, for something in it, or because we cannot keep it now. AR: it is nothing we
take. Source: HL7 v2.5, 2.9.2 (original mode), 2.15.5 ERR, tables 0008, 0357, 0516.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from integrations.problems import Problem
from integrations.ssmix2.message import DELETED, PLAIN, Segment, escaped, segment_of
from integrations.ssmix2.text import declares_utf8
from integrations.ssmix2.when import as_stamp

Code = Literal["AA", "AE", "AR"]
INTERNAL, LOCKED = "207", "206"
OLDER = "older-than-known"  # taken, and still nothing changes: the sender is told
_CONDITIONS = {
    "0": "Message accepted", "100": "Segment sequence error", "101": "Required field missing", "102": "Data type error",
    "200": "Unsupported message type", "202": "Unsupported processing id", "203": "Unsupported version id",
    "204": "Unknown key identifier", "206": "Application record locked", "207": "Application internal error",
}  # fmt: skip
# Problem -> (code of MSA-1, condition of ERR-3). What is not here: AE and 102, of its data.
_BY_CODE: dict[str, tuple[Code, str]] = {
    "unsupported": ("AR", "200"), "not-production": ("AR", "202"), "not-v2": ("AR", "203"),
    "too-large": ("AR", "102"), "no-header": ("AR", "100"), "empty": ("AR", "100"), "bad-delimiters": ("AR", "100"),
    "several-messages": ("AR", "100"), "no-patient": ("AE", "101"), "no-number": ("AE", "101"),
    "no-date": ("AE", "101"), "nothing-said": ("AE", "100"), "out-of-order": ("AE", "100"),
    "person-dismissed": ("AE", "204"), "person-not-linked": ("AE", "204"), "busy": ("AE", LOCKED),
    OLDER: ("AA", "0"), "not-now": ("AE", INTERNAL), "not-allowed": ("AR", INTERNAL),
}  # fmt: skip
_ERRORS_SHOWN = 20
_NAME = 227  # HD
_HEADER = 1 << 16  # bytes of MSH that are looked at


@dataclass(frozen=True, slots=True)
class Answer:
    """How a message is answered. `again`: whether sending it once more may help."""

    code: Code
    problems: tuple[Problem, ...] = ()

    @property
    def again(self) -> bool:
        return any(_condition(problem) in (INTERNAL, LOCKED) and self.code == "AE" for problem in self.problems)


def refusal(problems: Sequence[Problem]) -> Answer:
    """The answer where nothing was kept, by what was wrong: AR when any of it means that we take no such thing."""
    codes = [_BY_CODE.get(problem.code, ("AE", "102"))[0] for problem in problems if problem.severity == "error"]
    return Answer("AR" if "AR" in codes else "AE", tuple(problems))


def written(answer: Answer, data: bytes, *, now: datetime, number: str) -> bytes:
    """The ACK as bytes, without framing, in the character set of the message. `number`: our MSH-10."""
    header = header_of(data)
    utf8 = declares_utf8(data)
    event = f"ACK^{header[9](2)}^ACK" if header[9](2) else "ACK"
    sets = "UNICODE UTF-8" if utf8 else "~ISO IR87||ISO 2022-1994"
    to = "|".join(_said(header, field)[:_NAME] for field in (6, 3, 4))
    lines = [
        f"MSH|^~\\&|TSUMUGI|{to}|{as_stamp(now)}||{event}|{number}|P|2.5||||||{sets}",
        f"MSA|{answer.code}|{_said(header, 10)}",  # whole: by it the sender knows which of his it was
    ]
    shown = [p for p in answer.problems if answer.code != "AA" or p.code == OLDER]
    lines += [_error(problem) for problem in shown[:_ERRORS_SHOWN]]
    text = "".join(line + "\r" for line in lines)
    return text.encode("utf-8") if utf8 else text.encode("iso2022_jp", "replace")


def header_of(data: bytes) -> Segment:
    """MSH of whatever came, as far as it can be read: the answer must name the message it is to."""
    line = data.lstrip(b"\x0b \r\n").split(b"\r", 1)[0][:_HEADER].decode("ascii", "replace")
    if not line.startswith("MSH|^~\\&|"):
        return Segment("MSH", ["MSH"], 1)
    return segment_of(line, 1, PLAIN)


def _said(header: Segment, field: int) -> str:
    """A field as it came, to be given back: components kept, nothing that would break our own message."""
    raw = header[field].raw
    return "".join(c for c in raw if c.isprintable() and c.isascii()) if raw != DELETED else ""


def _error(problem: Problem) -> str:
    """ERR-2 place, ERR-3 condition, ERR-4 severity, ERR-7 for machines, ERR-8 for people. Never a value."""
    place = "" if problem.line is None else f"^{problem.line}" + (f"^{problem.field}" if problem.field else "")
    condition = _condition(problem)
    severity = {"error": "E", "warning": "W", "information": "I"}[problem.severity]
    told = f"{escaped(problem.ja)} {escaped(problem.en)}"
    return f"ERR||{place}|{condition}^{_CONDITIONS[condition]}^HL70357|{severity}|||{problem.code}|{told}"


def _condition(problem: Problem) -> str:
    return _BY_CODE.get(problem.code, ("AE", "102"))[1]
