"""Rows → receipts: one RE and what follows it, streaming, so that a file of any size stays flat in memory. Pure.

Source: 記録条件仕様 医科用 (RECEIPTC.UKE: IR, RE …, GO) and 調剤用 (RECEIPTY.CYO: YK, RE …, GO). Which of the two it is
follows from the first record, never from the name of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from integrations.problems import Problem, Unreadable
from integrations.receipts.rows import Row, rows_of, when
from integrations.receipts.table import FIELDS, NOT_READ, Form
from integrations.receipts.wording import say

MOST_ROWS = 3_000  # of one receipt; a long stay in hospital has some hundreds
HEADERS: dict[str, Form] = {"IR": "medical", "YK": "dispensing"}
_TABLES = {"medical": "1", "dispensing": "4"}  # 点数表


@dataclass(frozen=True, slots=True)
class Sender:
    """Who claims. `code`: 都道府県 2, 点数表 1, コード 7; `claimed`: month of the claim (請求年月), FHIR date."""

    form: Form
    code: str
    name: str
    claimed: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one institution claims for one person in one month. `rows` begins with RE."""

    sender: Sender
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def head(self) -> Row:
        return self.rows[0]

    @property
    def month(self) -> str:
        """Month of care, a FHIR date; "" when it cannot be read."""
        name = "診療年月" if self.sender.form == "medical" else "調剤年月"
        return when(self.head.get(name, self.sender.form))[:7]


@dataclass(slots=True)
class _Reader:
    """Where in the file one is."""

    sender: Sender | None = None
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    dropping: bool = False  # what follows belongs to a receipt that is left out
    receipts: int = 0
    unknown: Counter[str] = field(default_factory=Counter)


def receipts(stream: IO[bytes]) -> Iterator[Receipt | Problem]:
    """Every receipt of one file, and what is wrong outside of receipts. Raises Unreadable when it is no such file."""
    at = _Reader()
    for row in rows_of(stream):
        if isinstance(row, Problem):
            at.problems.append(row)
        elif at.sender is None or row.record in HEADERS:
            yield from _finish(at)
            at.sender, at.receipts = _sender(row), 0
        else:
            yield from _take(row, at)
    if at.sender is None:
        raise Unreadable([say("empty")])
    yield from _finish(at)
    for record, count in sorted(at.unknown.items()):
        yield say("unknown-record", record=record, count=count)


def _take(row: Row, at: _Reader) -> Iterator[Receipt | Problem]:
    assert at.sender is not None  # receipts
    form = at.sender.form
    if row.record == "RE":
        yield from _finish(at)
        at.rows, at.receipts = [row], at.receipts + 1
    elif row.record == "GO":
        yield from _finish(at)
        if row.get("総件数", form).lstrip("0") not in ("", str(at.receipts)):
            yield say("total-differs", line=row.line)
    elif row.record in NOT_READ[form] or at.dropping:
        pass
    elif row.record not in FIELDS[form]:
        name = row.record if row.record.isascii() and row.record.isalnum() else "?"
        if len(at.unknown) < 50 or name in at.unknown:
            at.unknown[name] += 1
    elif not at.rows:
        yield say("no-receipt", line=row.line)
        at.dropping = True
    elif len(at.rows) >= MOST_ROWS:
        yield say("receipt-too-long", line=at.rows[0].line, limit=MOST_ROWS)
        at.rows, at.problems, at.dropping = [], [], True
    else:
        at.rows.append(row)


def _finish(at: _Reader) -> Iterator[Receipt | Problem]:
    """The receipt that ends here, if it is sound; problems of lines outside of one."""
    if at.rows and at.sender:
        made = Receipt(at.sender, tuple(at.rows), tuple(at.problems[:50]))
        yield made if made.month else say("bad-month", line=made.head.line)
    else:
        yield from at.problems[:50]
    at.rows, at.problems, at.dropping = [], [], False


def _sender(row: Row) -> Sender:
    """The first record. Raises Unreadable."""
    form = HEADERS.get(row.record)
    if form is None:
        raise Unreadable([say("not-a-receipt-file", line=row.line)])
    table = row.get("点数表", form)
    if table != _TABLES[form]:
        raise Unreadable([say("other-fee-table", line=row.line, field=3)])
    number, name = ("医療機関コード", "医療機関名称") if form == "medical" else ("薬局コード", "薬局連絡先名称")
    code = row.get("都道府県", form).zfill(2) + table + row.get(number, form)
    if not (len(code) == 10 and code.isascii() and code.isdigit()):
        raise Unreadable([say("bad-institution", line=row.line, field=4)])
    return Sender(form, code, row.get(name, form), when(row.get("請求年月", form))[:7])
