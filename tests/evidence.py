"""`pytest -m IT`, `-m G` end with the evidence: id, duty, tests, outcome.

What is asked for by IT or G leaves the long runs out, as every run does, unless `long` is named too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from phr.trust.duties import duties
from tests.conformance.table import result

KINDS = ("IT", "G")
_WORD = re.compile(r"\w+")


@dataclass(eq=False)  # pytest keeps its plugins in sets
class Evidence:
    """A pytest plugin; workers' reports bring the ids along."""

    found: dict[str, Counter[str]] = field(default_factory=dict)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        named = {f"{kind}-{number}" for kind in KINDS for mark in item.iter_markers(kind) for number in mark.args}
        for id in sorted(named):
            item.user_properties.append(("duty", id))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        words = _WORD.findall(config.getoption("markexpr") or "")
        if "long" in words or not set(words) & set(KINDS):
            return
        long = [item for item in items if item.get_closest_marker("long")]
        if long:
            config.hook.pytest_deselected(items=long)
            items[:] = [item for item in items if item.get_closest_marker("long") is None]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test counts by its call; what goes wrong or is skipped before or after it counts too."""
        if report.when == "call" or report.outcome != "passed":
            for name, value in report.user_properties:
                if name == "duty":
                    self.found.setdefault(str(value), Counter())[report.outcome] += 1

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        asked = [kind for kind in KINDS if kind in _WORD.findall(config.getoption("markexpr") or "")]
        if asked:
            terminalreporter.section("evidence")
            for line in self.lines(asked):
                terminalreporter.write_line(line)

    def lines(self, asked: list[str]) -> Iterator[str]:
        """Every duty of the kinds asked for, in order, those no test was run for too; the last line sums up."""
        told: Counter[str] = Counter()
        for id, (_, english) in duties().items():
            if id.split("-")[0] not in asked:
                continue
            counts = self.found.get(id, Counter())
            outcome = result(counts) if counts else "not run"
            told[outcome] += 1
            yield f"{id:<6} {english:<70} {counts.total():>5}  {outcome}"
        yield f"{told.total()} duties: " + ", ".join(f"{n} {outcome}" for outcome, n in sorted(told.items()))
