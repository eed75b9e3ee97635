"""Whether a child's measure is likely at that age: hints, never refusals, and nothing is mended. Pure.

Bounds: the median ± 6 SD of either sex, the SD of each half taken from the 3rd and 97th percentile of the survey of
2023 (`phr/care/data/growth_percentiles.csv`). A value in other units lies far outside: 123 for 12.3, grams for kg.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from phr.care.tables import rows

MEASURES = {"ant.weight": "weight", "ant.height": "height", "ant.length": "height", "ant.head": "head"}
SDS = 6
_97TH = 1.8808  # standard deviations from the median to the 97th percentile
TO_ITEM_UNIT = {("g", "kg"): Decimal("0.001"), ("kg", "g"): Decimal(1000), ("mm", "cm"): Decimal("0.1"),
                ("m", "cm"): Decimal(100)}  # fmt: skip


@lru_cache(maxsize=1024)
def bounds(item: str, months: int) -> tuple[Decimal, Decimal] | None:
    """Lowest and highest likely value, in kg or cm, at so many completed months; None = not known."""
    measure = MEASURES.get(item)
    bands = [
        row
        for row in rows("growth_percentiles")
        if row["measure"] == measure and float(row["age_months_min"]) <= months <= float(row["age_months_max"])
    ]
    if not bands:
        return None
    low = min(_from_median(row, "p3") for row in bands)
    high = max(_from_median(row, "p97") for row in bands)
    return Decimal(str(round(max(low, 0.0), 2))), Decimal(str(round(high, 2)))


def _from_median(row: dict[str, str], edge: str) -> float:
    median = float(row["p50"])
    return median + SDS * (float(row[edge]) - median) / _97TH
