"""Families from chance: who they are is thrown here, what happens to them is told by `life`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from phr.populate import names
from phr.populate.dice import Dice
from phr.populate.facilities import towns
from phr.populate.family import REFERENCE_ON, Family
from phr.populate.life import write_life
from phr.populate.people import Human

CHILDREN = ((1, 2, 3), (68, 27, 5))  # with the one expected
EXPECTING = 0.2  # share of families whose youngest is not born yet


def families(seed: int, count: int, *, start: int = 0) -> Iterator[Family]:
    """Families `start` to `start + count` - 1 of the seed."""
    return (family(seed, number) for number in range(start, start + count))


def family(seed: int, number: int) -> Family:
    """The family of that number: about 250 resources, fewer while the child is not yet born."""
    dice = Dice(seed, number)
    town = dice.pick(towns())
    surname = names.surname(dice)
    births, due_on = _births(dice)
    tag = f"f{number:06d}-s{seed}"
    mother_birth = (due_on or births[-1]) - timedelta(days=int(dice.near(31.5, 3.8) * 365.25))
    mother = _human(dice, surname, "female", mother_birth, f"{tag}-mother")
    father = None
    if dice.chance(0.92):
        father_birth = mother_birth - timedelta(days=int(dice.near(500, 900)))
        father = _human(dice, surname, "male", father_birth, f"{tag}-father")
    children = tuple(_human(dice, surname, dice.pick(("female", "male")), day, "") for day in births)
    made = Family(seed, number, mother, father, children, due_on, town, dice.pick(town.obstetric))
    write_life(made, dice)
    return made


def _births(dice: Dice) -> tuple[list[date], date | None]:
    """(birth dates, oldest first; due date of the one expected): the youngest within four years."""
    count = dice.weighted(*CHILDREN)
    expecting = dice.chance(EXPECTING)
    latest = REFERENCE_ON + timedelta(days=dice.whole(10, 200) if expecting else -dice.whole(20, 1400))
    days = [latest]
    for _ in range(count - 1):
        days.append(days[-1] - timedelta(days=int(dice.near(1050, 180))))
    births = sorted(days[1:] if expecting else days)
    return births, latest if expecting else None


def _human(dice: Dice, surname: tuple[str, str], sex: str, birth: date, username: str) -> Human:
    given, kana = names.given(dice, sex)
    return Human(dice.uuid(), username, *surname, given, kana, sex, birth, f"99{dice.digits(10)}")
