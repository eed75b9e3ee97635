"""What a vaccination plan costs: for one child, and for everybody of a large city. No server, no database.

The children are those of `populate`'s rules: the doses families really come for, up to the day asked.
"""

from __future__ import annotations

import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from multiprocessing import get_context

from phr.care.courses import Given
from phr.care.immunizations import Person, plan
from phr.care.rules import rules_at
from phr.populate.dice import Dice
from phr.populate.vaccination import doses
from tests.benchmarks.table import row

DAY = date(2026, 4, 1)
PROCESSES, YEARS = 2, 16


def child(number: int) -> Person:
    """One of the children born in the sixteen years before the day, with the doses recorded by then."""
    birth = DAY - timedelta(days=1 + number * 7919 % (YEARS * 365))
    sex = "female" if number % 2 else "male"
    given = doses(birth, sex, DAY, Dice(1, number))
    return Person(birth, sex, tuple(Given(dose.vaccine, dose.on, str(n)) for n, dose in enumerate(given)))


def one(most: int = 400) -> None:
    """Time of one plan: median, and the slowest of a hundred."""
    rules, took = rules_at(DAY), []
    for number in range(most):
        person = child(number)
        begin = time.perf_counter()
        plan(person, day=DAY, rules=rules)
        took.append((time.perf_counter() - begin) * 1000)
    p99 = statistics.quantiles(took, n=100)[98]
    row("vaccination plan, one child", f"{statistics.median(took):.2f} ms", f"99 of 100 in {p99:.2f} ms; target 2 ms")


def planned(numbers: range) -> tuple[int, float, float, int]:
    """(lines due or overdue, seconds of planning alone, of which at work, peak memory in KiB) of these children."""
    rules, due, took, worked = rules_at(DAY), 0, 0.0, 0.0
    for number in numbers:
        person = child(number)
        begin, began = time.perf_counter(), time.process_time()
        found = plan(person, day=DAY, rules=rules)
        took += time.perf_counter() - begin
        worked += time.process_time() - began
        due += sum(line.state in ("due", "overdue") for line in found.lines)
    return due, took, worked, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def everybody(children: int) -> None:
    """Plans of many children on two processes, made in pieces; inventing the children is not counted."""
    pieces = [range(start, min(start + 500, children)) for start in range(0, children, 500)]
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(planned, pieces))
    scale = 100_000 / children / PROCESSES
    seconds, worked = (sum(one[n] for one in found) * scale for n in (1, 2))
    memory = max(kib for _, _, _, kib in found) / 1024
    name = f"vaccination plans, {children:,} children, {PROCESSES} processes"
    told = f"target 120 s; {worked:.0f} s of them at work; {sum(due for due, _, _, _ in found):,} due; {memory:.0f} MiB"
    row(name, f"{seconds:.0f} s for 100,000", told)


def care(children: int) -> None:
    one()
    everybody(children)
