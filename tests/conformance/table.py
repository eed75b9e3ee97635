"""`pytest -m spec` ends with the conformance table: specification, section, clause, tests, result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import pytest

Clause = tuple[str, str, str]  # standard, section, clause
WIDTHS = (26, 34, 70)  # columns; a longer text goes on in the next line
WORST_FIRST = ("failed", "skipped", "passed")


@dataclass(eq=False)  # pytest keeps its plugins in sets
class ConformanceTable:
    """A pytest plugin. Tests carry `@pytest.mark.spec(standard, section, clause)`; workers' reports bring it along."""

    found: dict[Clause, Counter[str]] = field(default_factory=dict)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        for mark in item.iter_markers("spec"):
            item.user_properties.append(("spec", [str(part) for part in mark.args]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test counts by its call; what goes wrong or is skipped before or after it counts too."""
        if report.when == "call" or report.outcome != "passed":
            for name, value in report.user_properties:
                if name == "spec" and isinstance(value, list | tuple) and len(value) == 3:
                    self.found.setdefault((value[0], value[1], value[2]), Counter())[report.outcome] += 1

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        if "spec" in (config.getoption("markexpr") or "").split() and self.found:
            terminalreporter.section("conformance")
            for line in self.lines():
                terminalreporter.write_line(line)

    def lines(self) -> Iterator[str]:
        """The table, by standard, section and clause; its last line sums up."""
        yield _line("specification", "section", "clause", "tests", "result")
        for clause, counts in sorted(self.found.items()):
            cells = [wrap(text, width) or [""] for text, width in zip(clause, WIDTHS, strict=True)]
            for row in range(max(map(len, cells))):
                texts = [cell[row] if row < len(cell) else "" for cell in cells]
                told = (str(counts.total()), result(counts)) if row == 0 else ("", "")
                yield _line(*texts, *told)
        results = Counter(result(counts) for counts in self.found.values())
        standards = len({standard for standard, _, _ in self.found})
        summed = ", ".join(f"{results[name]} {name}" for name in reversed(WORST_FIRST) if results[name])
        yield f"{len(self.found)} clauses of {standards} specifications: {summed}"


def result(counts: Counter[str]) -> str:
    """A clause is as good as its worst test."""
    return next(name for name in WORST_FIRST if counts[name])


def _line(standard: str, section: str, clause: str, tests: str, result: str) -> str:
    columns = (f"{text:<{width}}" for text, width in zip((standard, section, clause), WIDTHS, strict=True))
    return f"{'  '.join(columns)}  {tests:>5}  {result}".rstrip()
