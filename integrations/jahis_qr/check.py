"""One row against the record table: required fields, lengths, character types, dates, codes. Pure."""

from __future__ import annotations

import re

from integrations.jahis_qr.rows import Row, day
from integrations.jahis_qr.table import CODES, RECORDS, Field
from integrations.jahis_qr.wording import say
from integrations.problems import Problem

_SHAPES = {"9": re.compile(r"\d*\Z", re.ASCII), "X": re.compile(r"[ -~]*\Z"), "N": re.compile(""), "D": re.compile("")}


def row(row: Row, *, output: str, version: str, problems: list[Problem]) -> None:
    """Append what is wrong with the row. Only a vital field's absence is an error: it breaks its group."""
    if not row.number:
        problems.append(say("not-a-record", line=row.line))
        return
    record = RECORDS.get(row.number)
    if record is None:
        problems.append(say("unknown-record", line=row.line, number=row.number))
        return
    for place, field in enumerate(record.fields, start=1):
        value = row.fields[place - 1] if place <= len(row.fields) else ""
        if value:
            _check_value(value, field, row.line, place, problems)
        elif _is_required(field, output=output, version=version):
            problems.append(say("missing" if field.vital else "expected", line=row.line, field=place, name=field.name))
    if any(row.fields[len(record.fields) :]):
        problems.append(say("surplus", line=row.line, field=len(record.fields) + 1))


def _is_required(field: Field, *, output: str, version: str) -> bool:
    if version < field.since or (version == "01" and field.name == "作成者"):  # files of 1.0 in the field lack 作成者
        return False
    return field.req == "*" or (field.req == "1" and output == "1")


def _check_value(value: str, field: Field, line: int, place: int, problems: list[Problem]) -> None:
    at = {"line": line, "field": place}
    if field.type == "D":
        if day(value) is None:
            problems.append(say("bad-date" if field.vital else "odd-date", **at, name=field.name))
        return
    if not _SHAPES[field.type].match(value):
        problems.append(say("wrong-type", **at, name=field.name))
    if len(value.encode("cp932", "replace")) > field.max:
        problems.append(say("too-long", **at, name=field.name, limit=field.max))
    if field.codes and value not in CODES[field.codes]:
        problems.append(say("unknown-code", **at, name=field.name))
