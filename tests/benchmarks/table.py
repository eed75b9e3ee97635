"""The table that a run prints; each line also as soon as it is known."""

from __future__ import annotations

import sys

from tests.benchmarks.load import Rate

ROWS: list[tuple[str, str, str]] = []


def row(name: str, value: str, note: str = "") -> None:
    ROWS.append((name, value, note))
    print(f"  {name}: {value} {note}", file=sys.stderr, flush=True)


def rated(name: str, rate: Rate, note: str = "") -> Rate:
    row(name, f"{rate.per_second:,.0f}/s", f"{note} {rate.median_ms:.1f} ms".strip())
    return rate


def print_table() -> None:
    width = max(len(name) for name, _, _ in ROWS)
    print(f"\n| {'what':{width}} | measured | |\n|---|---|---|")
    for name, value, note in ROWS:
        print(f"| {name:{width}} | {value} | {note} |")
