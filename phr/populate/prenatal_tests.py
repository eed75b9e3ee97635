"""Which laboratory test is done at which visit, and with what outcome."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from phr.populate.dice import Dice, decimal

if TYPE_CHECKING:
    from phr.populate.pregnancy import Pregnancy

Value = Decimal | int | str
ABO = (("A", "O", "B", "AB"), (39, 29, 22, 10))
# rare outcomes are left out: an invented record should not look like a finding about anybody
NEGATIVE_ONCE = ("irregular.ab", "hbsag", "hcv", "hiv", "syphilis")


def tests_at(number: int, pregnancy: Pregnancy, dice: Dice) -> Iterator[tuple[str, Value]]:
    """(item, value) of the tests done at that visit (1 to 14)."""
    match number:
        case 1:
            yield "blood.abo", dice.weighted(*ABO)
            yield "blood.rh", "＋" if dice.chance(0.995) else "−"
            for item in NEGATIVE_ONCE:
                yield item, "−"
            yield "rubella", dice.weighted(("8", "16", "32", "64", "128", "256"), (8, 15, 27, 27, 16, 7))
            yield "cervix.cyt", "NILM" if dice.chance(0.97) else "ASC-US"
            yield from _blood_count(dice, 12.4)
            yield "glucose.random", dice.whole(78, 105)
        case 5:
            yield from _glucose(pregnancy, dice)
        case 6:
            yield from _blood_count(dice, 11.2)
            yield "chlamydia", "−"
            yield "htlv1", "−"
        case 10:
            yield "gbs", "−" if dice.chance(0.85) else "＋"
        case 11:
            yield from _blood_count(dice, 11.4)


def _blood_count(dice: Dice, haemoglobin: float) -> Iterator[tuple[str, Value]]:
    hb = dice.near(haemoglobin, 0.8)
    yield "hb", decimal(hb, 1)
    yield "ht.crit", decimal(dice.near(hb * 2.95, 0.6), 1)
    yield "plt", dice.whole(160, 330)
    yield "wbc", dice.whole(55, 110) * 100


def _glucose(pregnancy: Pregnancy, dice: Dice) -> Iterator[tuple[str, Value]]:
    """Week 24: a random value; from 100 mg/dL on a 75 g OGTT."""
    random = dice.whole(102, 130) if pregnancy.gdm else dice.whole(76, 106)
    yield "glucose.random", random
    if random >= 100:
        raised = 14 if pregnancy.gdm else 0
        yield "ogtt.0", dice.whole(78, 89) + raised
        yield "ogtt.60", dice.whole(120, 175) + 3 * raised
        yield "ogtt.120", dice.whole(95, 148) + 2 * raised
