"""Bytes of one whole notebook → rows, groups and problems. Pure.

Source: JAHIS 電子版お薬手帳データフォーマット仕様書 Ver.1.0–2.6 (headers JAHISTC01–08). Lenient where the field is
(missing or surplus trailing fields, spaces, unknown versions and records), strict where a medicine could be misread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from integrations.jahis_qr import check, groups
from integrations.jahis_qr.groups import Group
from integrations.jahis_qr.rows import Encoding, Row, bytes_of, encoding_of, lines_of, rows_of
from integrations.jahis_qr.table import RECORDS, VERSIONS
from integrations.jahis_qr.wording import say
from integrations.problems import Problem, Unreadable, errors

MAX_BYTES = 1 << 20
MAX_LINES = 5_000
MAX_PROBLEMS = 200

_HEADER = re.compile(r"JAHISTC(\d\d)\Z", re.ASCII)
_SMALL = re.compile(r"\d{1,2}\Z", re.ASCII)
_DRUG_CODE = re.compile(r"[0-9A-Z]{7,13}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Notebook:
    """What one file says. `rows` leaves out the header; `groups` holds only the sound ones.

    `output`: "1" facility → patient, "2" patient → facility. `aside`: lines that are kept but not imported.
    """

    version: str
    output: str
    encoding: Encoding
    header: Row
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    aside: frozenset[int]
    problems: tuple[Problem, ...]

    @property
    def patient(self) -> Row:
        """Record 1; `parse` makes sure there is one."""
        return next(row for row in self.rows if row.number == "1")

    def all(self, number: str) -> list[Row]:
        """The rows of one record number, those set aside left out."""
        return [row for row in self.rows if row.number == number and row.line not in self.aside]


def parse(data: bytes) -> Notebook:
    """Read one whole notebook (cp932, or UTF-8 from a reader app).

    Raises `Unreadable` when nothing of it can be imported: no notebook header, no patient,
    too large, or every part of it has errors. Otherwise errors stand in `problems` and their groups are set aside.
    """
    _check_size(data)
    problems: list[Problem] = []
    encoding = encoding_of(data)
    header, *rows = rows_of(data, encoding, problems)
    version, output = _header(header, problems)
    rows = [_standard_layout(row, problems) for row in rows]
    for row in rows:
        check.row(row, output=output, version=version, problems=problems)
    _check_patient(rows, problems)
    sound, aside = groups.of(rows, problems)
    notebook = Notebook(version, output, encoding, header, tuple(rows), sound, aside, _shown(problems))
    if errors(notebook.problems) and not _has_content(notebook):
        raise Unreadable(notebook.problems)
    return notebook


def to_bytes(notebook: Notebook) -> bytes:
    """The input again, with CR LF after every line and without empty lines and 0x1A."""
    return bytes_of((notebook.header, *notebook.rows))


def _check_size(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise Unreadable([say("too-large", limit=MAX_BYTES)])
    lines = sum(1 for _ in lines_of(data))
    if lines > MAX_LINES:
        raise Unreadable([say("too-many-lines", limit=MAX_LINES)])
    if not lines:
        raise Unreadable([say("empty")])


def _header(row: Row, problems: list[Problem]) -> tuple[str, str]:
    first, output, *surplus = (*row.fields, "", "")
    match = _HEADER.match(first)
    if not match or output not in ("", "1", "2"):
        raise Unreadable([say("not-jahistc", line=row.line)])
    if any(surplus):
        problems.append(say("surplus", line=row.line))
    if match[1] not in VERSIONS:
        problems.append(say("unknown-version", line=row.line, version=match[1]))
    return match[1], output or "1"


def _standard_layout(row: Row, problems: list[Problem]) -> Row:
    """Record 201 in the layout of a prescription, brought into the order of the notebook.

    RP番号, RP内連番, 情報区分, コード種別, コード, 名称, 用量, 力価フラグ, 単位: seen under JAHISTC02. The standard's
    second field is a name, so one or two digits there and in the third, with a code or name behind, tell them apart.
    """
    fields = (*row.fields, "", "", "")
    if row.number != "201" or len(row.fields) < 6 or not (_SMALL.match(fields[1]) and _SMALL.match(fields[2])):
        return row
    if not _DRUG_CODE.match(fields[4]) and (fields[4] or not fields[5]):
        return row
    problems.append(say("prescription-layout", line=row.line))
    dose, strength_flag, unit = fields[6:9]
    if strength_flag == "2":
        problems.append(say("strength-dose", line=row.line, field=7))
        dose = ""
    return replace(row, fields=(fields[0], fields[5], dose, unit, fields[3], fields[4]))


def _check_patient(rows: list[Row], problems: list[Problem]) -> None:
    patients = [row for row in rows if row.number == "1"]
    if not patients:
        raise Unreadable([say("patient-missing"), *problems])
    first, *others = patients
    for other in others:
        if _identity(other) != _identity(first):
            raise Unreadable([say("patient-twice", line=other.line)])
        problems.append(say("twice", line=other.line, number="1"))
    if first.get("体重"):
        problems.append(say("weight-unconfirmed", line=first.line, field=RECORDS["1"].position["体重"] + 1))


def _identity(row: Row) -> tuple[str, str, str]:
    return row.get("氏名"), row.get("性別"), row.get("生年月日")


def _has_content(notebook: Notebook) -> bool:
    others = ("2", "3", "4", "701")
    return bool(notebook.groups) or any(notebook.all(number) for number in others)


def _shown(problems: list[Problem]) -> tuple[Problem, ...]:
    """In the order of the lines; errors first where the list is too long to show."""
    if len(problems) > MAX_PROBLEMS:
        rank = {"error": 0, "warning": 1, "information": 2}
        problems = [*sorted(problems, key=lambda p: rank[p.severity])[:MAX_PROBLEMS], say("more", limit=MAX_PROBLEMS)]
    return tuple(sorted(problems, key=lambda p: (p.line is None, p.line or 0, p.field or 0)))
