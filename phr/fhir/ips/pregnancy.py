"""The pregnancy section of a summary: what is so now, and what came before. Pure.

Whether somebody is pregnant *now* is not what an old record says: a status is believed until the expected day is
three weeks gone or a birth is on record.
Source: IPS 1.1 (history of pregnancy: status, expected delivery date, outcomes); LOINC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from phr.fhir.ips.wording import JAPAN, both, code_of, codings
from phr.records.systems import LOINC

if TYPE_CHECKING:
    from phr.fhir.ips.chosen import Item

YOUNGEST = timedelta(days=365 * 10)  # below, a gestational age is the child's own
TERM = timedelta(days=280)
OVERDUE = timedelta(days=21)
STATUS, EDD, LMP, DELIVERED = "82810-3", "11778-8", "8665-2", "11884-4"
PREGNANT, NOT_PREGNANT = "LA15173-0", "LA26683-5"
# In the order in which they are read: the present, the dates, the outcomes.
CODES = {
    code: place
    for place, code in enumerate((
        STATUS, EDD, "11779-6", "11780-4", LMP, "18185-9", "11878-6", "11996-6", "11977-6", "11636-8", "11637-6",
        "11638-4", "11639-2", "11640-0", "11612-9", "11613-7", "11614-5", "33065-4", DELIVERED, "73762-7",
    ))
}  # fmt: skip
OF_ONE = frozenset({STATUS, EDD, "11779-6", "11780-4", LMP})  # said of one pregnancy while it goes on
COUNTS = frozenset({"11977-6", "11636-8", "11637-6", "11638-4", "11639-2", "11640-0"})  # of births so far
GESTATION = frozenset({"18185-9", DELIVERED})
# Findings of one visit in the course of a pregnancy.
COURSE = frozenset({"55283-6", "11881-0", "72155-5", "11727-5", "45700-2"})


def ordered(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: min(CODES[c] for c in _codes(item.resource)))


def _codes(resource: Mapping[str, Any]) -> set[str]:
    return {c["code"] for c in codings(resource.get("code")) if c.get("system") == LOINC and c.get("code") in CODES}


def now_pregnant(items: Iterable[Item], *, now: datetime) -> str:
    """One sentence on the present, from what the summary holds."""
    by_code = by_codes(items)
    today = now.astimezone(JAPAN).date()
    due = _due(by_code)
    status, born = by_code.get(STATUS), by_code.get(DELIVERED)
    if status and not _later(born, status):
        answer = code_of(status.resource.get("valueCodeableConcept"))
        if answer == NOT_PREGNANT:
            return _told(status, "妊娠していない", "not pregnant")
        if answer == PREGNANT and (due is None or today - due <= OVERDUE):
            told = _told(status, "妊娠中", "pregnant")
            return f"{told}; {_age(due, today)}" if due else told
    if born and (on := _on(born)):
        return f"{_unsaid()}; {both(f'最後の分娩の記録 {on}', f'last delivery on record {on}')}"
    if due is not None and today - due > OVERDUE:
        return f"{_unsaid()}; {both(f'出産予定日 {due} を過ぎています', f'the expected date {due} is past')}"
    return _unsaid()


def by_codes(items: Iterable[Item]) -> dict[str, Item]:
    return {code: item for item in items for code in _codes(item.resource)}


def current(items: list[Item]) -> list[Item]:
    """Without how far a pregnancy had come, where its end is on record."""
    born = by_codes(items).get(DELIVERED)
    return [i for i in items if not (_codes(i.resource) & {"18185-9", "11878-6"} and _later(born, i))]


def overtaken(item: Item, items: Iterable[Item]) -> str:
    """What a delivery that is on record since makes of an entry; nothing where it makes no difference."""
    codes = _codes(item.resource)
    if not codes & (OF_ONE | COUNTS) or not _later(by_codes(items).get(DELIVERED), item):
        return ""
    if codes & OF_ONE:
        return both("終わった妊娠", "of a pregnancy that has ended")
    return both("その後の分娩を含まない", "without the delivery since")


def _due(by_code: Mapping[str, Item]) -> date | None:
    return next((day for code in (EDD, "11780-4", "11779-6") if (day := _day(by_code.get(code)))), None)


def _unsaid() -> str:
    return both("この要約の記録からは、現在妊娠しているかどうかは分かりません",
                "the records in this summary do not say whether she is pregnant now")  # fmt: skip


def _on(item: Item) -> date | None:
    low = item.found.facts.low
    return low.astimezone(JAPAN).date() if low else None


def _told(status: Item, japanese: str, english: str) -> str:
    day = _on(status)
    return both(f"{japanese} ({day or '日付なし'} の記録)", f"{english} (recorded {day or 'without a date'})")


def _age(due: date, today: date) -> str:
    """Completed weeks and days today, counted back from the expected day."""
    days = (TERM - (due - today)).days
    expected = f"{both('出産予定日', 'expected')} {due}"
    if days < 0:
        return expected
    return f"{expected}; " + both(
        f"本日 {today} 妊娠{days // 7}週{days % 7}日", f"today {days // 7} weeks {days % 7} days"
    )


def gestation(resource: Mapping[str, Any]) -> str:
    """A gestational age in days as weeks and days; nothing for anything else."""
    found = resource.get("valueQuantity", {})
    if not _codes(resource) & GESTATION or found.get("code") != "d" or found.get("value") is None:
        return ""
    days = int(found["value"])
    return both(f"{days // 7}週{days % 7}日", f"{days // 7} weeks {days % 7} days")


def _later(one: Item | None, other: Item) -> bool:
    low, than = one.found.facts.low if one else None, other.found.facts.low
    return low is not None and than is not None and low >= than


def _day(item: Item | None) -> date | None:
    text = str(item.resource.get("valueDateTime", "")) if item else ""
    try:
        if "T" in text:
            return datetime.fromisoformat(text).astimezone(JAPAN).date()
        return date.fromisoformat(text) if len(text) == 10 else None
    except (ValueError, OverflowError):
        return None
