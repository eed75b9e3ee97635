"""Units of UCUM against an independent reader (ucumvert and pint), over the codes UCUM gives as examples."""

from __future__ import annotations

import csv
import warnings
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest
import ucumvert

from phr.records.search.units import canonical

# The other reader takes these from elsewhere than the UCUM table: a field of view counts 1, not 100; water at 60 °F
OTHERWISE = ("[LPF]", "[in_i'H2O]")
EXAMPLES = Path(ucumvert.__file__).parent / "vendor" / "ucum_examples.tsv"


def examples() -> list[str]:
    with EXAMPLES.open(encoding="utf-8") as file:
        return sorted({row[1] for row in csv.reader(file, delimiter="\t") if len(row) > 1 and row[1]})


def test_the_examples_of_ucum_are_read() -> None:
    codes = examples()
    unread = [code for code in codes if canonical(code) is None]
    assert len(codes) > 800
    assert len(unread) / len(codes) < 0.02, unread


def test_sizes_agree_with_another_reader() -> None:
    """Units of one measure stand in the same proportion there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registry = ucumvert.PintUcumRegistry()
    sizes: dict[str, dict[str, float]] = defaultdict(dict)
    for code in examples():
        unit = canonical(code)
        if (
            unit is None
            or unit.offset
            or "[" in unit.measure
            or unit.measure.startswith("B")
            or code.endswith(OTHERWISE)
        ):
            continue
        try:
            theirs = float(registry.from_ucum(code).to_base_units().magnitude)
        except Exception:  # noqa: BLE001 - what the other does not read is no witness
            continue
        sizes[unit.measure][code] = theirs / float(unit.factor)
    assert sum(map(len, sizes.values())) > 500
    odd = {
        measure: {code: ratio for code, ratio in found.items() if ratio != pytest.approx(_usual(found), rel=1e-5)}
        for measure, found in sizes.items()
    }
    assert not {measure: found for measure, found in odd.items() if found}


def _usual(found: dict[str, float]) -> float:
    return sorted(found.values())[len(found) // 2]


@pytest.mark.parametrize(
    ("code", "measure", "factor"),
    [
        ("kg", "g1", Fraction(1000)), ("mg/dL", "g1.m-3", Fraction(10)), ("10*3/uL", "m-3", Fraction(10**12)),
        ("%", "", Fraction(1, 100)), ("[iU]/L", "[iU]1.m-3", Fraction(1000)), ("k[IU]/L", "[iU]1.m-3", Fraction(10**6)),
        ("[pH]", "[pH]1", Fraction(1)), ("{beats}/min", "s-1", Fraction(1)), ("mm[Hg]", "g1.m-1.s-2", Fraction(1)),
        ("((kg.m/s2)/m2)", "g1.m-1.s-2", Fraction(1000) / Fraction("133322")), ("dB", "B1", Fraction(1, 10)),
    ],
)  # fmt: skip
def test_what_units_mean(code: str, measure: str, factor: Fraction) -> None:
    unit = canonical(code)
    assert unit is not None
    assert (unit.measure, unit.factor) == (measure, factor)
