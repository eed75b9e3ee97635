"""The rules decide() consults: ages, the guardian's age table, purposes. Policy is data here, never code elsewhere.

Sources: 年齢計算ニ関スル法律, Civil Code Art. 143 (ages); the trust rules G-10, G-13 (age table), IT-25 (purposes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from consent.scope import ALL_CATEGORIES, Category, Purpose

JST = timezone(timedelta(hours=9), "JST")
ADULT_AGE = 18
OWN_LOGIN_AGE = 15  # from here on a young person may sign in
OWN_CONSENT_AGE = 16  # from here on only the young person gives consent to others
STAFF_PURPOSES = frozenset({Purpose.TREAT})  # what an organisation's own records may be used for without a Grant
MUNICIPAL_PURPOSES = STAFF_PURPOSES | {Purpose.PUBHLTH}

# For these a consent lets a caller read by itself; for any other (research …) only a Provision does, judged by the
# trust person by person (IT-07).
CARE_PURPOSES = frozenset({
    Purpose.TREAT, Purpose.ETREAT, Purpose.BTG, Purpose.HPAYMT, Purpose.HOPERAT, Purpose.PATRQT, Purpose.FAMRQT,
    Purpose.PUBHLTH, Purpose.PATADMIN,
})  # fmt: skip

# Emergency access (trust rules, section 10): who may open it, for what, and what its first step shows.
GLASS_KINDS = frozenset({"clinic", "hospital", "ambulance"})
GLASS_PURPOSES = frozenset({Purpose.ETREAT, Purpose.BTG})
# Blood type stands among the laboratory's values: the token's doors let only that one through.
EMERGENCY_SET = int(
    Category.ALLERGY
    | Category.MEDICATION
    | Category.PREGNANCY
    | Category.PROBLEM
    | Category.IMMUNIZATION
    | Category.IDENTITY
    | Category.LABORATORY
)

# IT-25: never, even with consent. HL7 v3 PurposeOfUse where it has a code, our own words where it has none.
PROHIBITED_PURPOSES = frozenset({
    "COVERAGE", "ELIGDTRM", "ELIGVER", "ENROLLM", "UNDERWRITING",  # insurance screening
    "CREDIT", "EMPLOYMENT",  # credit and employment screening
    "LEGAL", "HLEGAL", "LAWENF",  # convenience of law enforcement
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What a guardian may see: every category of the resource inside `categories`, its level at most `level`."""

    name: str
    categories: int
    level: int


# Not shown to a guardian at any age: violence, and what would tell of abuse or of another person's pregnancy.
PROTECTED_LABELS = int(Category.SDV | Category.STI | Category.LOSS)
FULL = Ceiling("full", ALL_CATEGORIES & ~PROTECTED_LABELS, 3)
STANDARD = Ceiling(
    "standard set",
    int(
        Category.IMMUNIZATION
        | Category.ALLERGY
        | Category.GROWTH
        | Category.MEDICATION
        | Category.CARE
        | Category.IDENTITY
    ),
    2,
)
# G-10: (from this age on, ceiling); None = no guardian any more. Ascending.
AGE_TABLE: tuple[tuple[int, Ceiling | None], ...] = ((0, FULL), (12, FULL), (15, STANDARD), (ADULT_AGE, None))


def today_in_japan(now: datetime) -> date:
    """The date in Japan at an aware `now`."""
    return now.astimezone(JST).date()


def age_on(birth_on: date, day: date) -> int:
    """Completed years on `day` (a date in Japan); negative before birth.

    A year of age is completed when the day *before* the anniversary ends, so it counts from the first
    second of the anniversary. Born on 29 February: in a common year it is completed when 28 February
    ends (Civil Code 143(2)), so it counts from 1 March.
    """
    return day.year - birth_on.year - ((day.month, day.day) < (birth_on.month, birth_on.day))


def first_day_of(birth_on: date, age: int) -> date:
    """The first whole day (in Japan) on which `age_on` gives `age`."""
    year = birth_on.year + age
    try:
        return birth_on.replace(year=year)
    except ValueError:  # 29 February in a common year
        return date(year, 3, 1)


def adulthood(birth_on: date) -> datetime:
    """The instant, in Japan, from which there is no guardian any more."""
    first = first_day_of(birth_on, ADULT_AGE)
    return datetime(first.year, first.month, first.day, tzinfo=JST)


def guardian_ceiling(age: int) -> Ceiling | None:
    """The row of the age table for a child of `age` completed years; None = no guardianship."""
    found: Ceiling | None = None
    for start, ceiling in AGE_TABLE:
        if age >= start:
            found = ceiling
    return found


def months_after(day: date, months: int) -> date:
    """The same day `months` later, or the last day of that month if there is no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError(day)
