"""The record as `phr.care` asks about it: a person with the doses this caller may see.

Hidden doses are not there, as anywhere: the answer is what it would be if they had never been given, and everybody is
told that it rests on what can be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from phr.care.courses import Given
from phr.care.dates import last_day_of
from phr.care.immunizations import Person
from phr.care.rules import Rules, resolved, rules_at
from phr.care.windows import Illness
from phr.records import body
from phr.records.gateway import Records, Stored, TooCostly
from phr.records.systems import CVX, DISEASE_RECEIPT, OWN_DISEASE, OWN_VACCINE, preferred

MOST = 1000  # doses of one person
FIRST, LAST = 1880, 2200  # years that are reckoned with
Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """`unread`: references of doses without a date or with a vaccine the rules do not know. `found`: for the log."""

    person: Person
    unread: tuple[str, ...]
    found: tuple[Stored, ...]


class NoBirthDate(Exception):
    """Without the day of birth nothing can be said."""


class Deceased(Exception):
    """Nothing is planned, due or missed any more."""


def today(now: datetime) -> date:
    """The date where this server is."""
    return timezone.localdate(now)


def person(records: Records, subject: UUID, rules: Rules, illnesses: tuple[Illness, ...] = ()) -> Seen:
    """The person and the doses, as far as the caller may see them. The reader writes the log of `found`.

    Raises NotFound or Gone as for any Patient, NoBirthDate, Deceased, TooCostly.
    """
    told = patient(records, subject)
    if told.get("deceasedBoolean") or "deceasedDateTime" in told:
        raise Deceased
    entries, more = records.newest(subject, ("Immunization",), most=MOST)
    if more:
        raise TooCostly(f"more than {MOST} Immunizations of one person")
    own = tuple(one for one in entries if one.facts.subjects[0] == subject)
    given, unread = doses(((one.reference, body.parse(one.body or b"{}")) for one in own), rules)
    return Seen(Person(born(told), str(told.get("gender", "")), given, illnesses), unread, own)


def patient(records: Records, subject: UUID) -> Resource:
    """The Patient of the record; logged. Raises NotFound or Gone."""
    return body.parse(records.read("Patient", str(subject)).body or b"{}")


def born(told: Resource) -> date:
    """Raises NoBirthDate unless the whole day is known, of somebody who may be alive."""
    known = last_day_of(str(told.get("birthDate", "")))
    if known is None or not known[1] or not FIRST <= known[0].year <= LAST:
        raise NoBirthDate
    return known[0]


def doses(resources: Iterable[tuple[str, Resource]], rules: Rules) -> tuple[tuple[Given, ...], tuple[str, ...]]:
    """The doses that were really given, and the references of those that cannot be read as one."""
    found: list[Given] = []
    unread: list[str] = []
    for reference, resource in resources:
        if resource.get("status") != "completed" or resource.get("isSubpotent"):
            continue
        when = day_of(str(resource.get("occurrenceDateTime", "")))
        product = _product(resource, when[0], rules) if when else None
        if when and product:
            found.append(Given(product, when[0], reference, exact=when[1]))
        else:
            unread.append(reference)
    return tuple(found), tuple(unread)


def day_of(text: str) -> tuple[date, bool] | None:
    """The day and whether it is exact; of a month or a year its last day."""
    if "T" not in text:
        return last_day_of(text)
    try:
        moment = datetime.fromisoformat(text.replace(":60", ":59", 1))  # FHIR lets a leap second be said
        return timezone.localdate(moment), True
    except (ValueError, OverflowError):
        return None


def _product(resource: Resource, on: date, rules: Rules) -> str | None:
    """Own id, else CVX, else the diseases it is said to protect against, where only one product does."""
    for system, known in ((OWN_VACCINE, rules.products), (CVX, rules.by_cvx)):
        for code in _codes([resource.get("vaccineCode", {})], system):
            if code in known:
                return rules.by_cvx[code] if system == CVX else code
    targets = [target for part in resource.get("protocolApplied", ()) for target in part.get("targetDisease", ())]
    diseases = set(_codes(targets, OWN_DISEASE)) or {
        rules.by_receipt[code] for code in _codes(targets, DISEASE_RECEIPT) if code in rules.by_receipt
    }
    return resolved(rules, frozenset(diseases), on)


def _codes(concepts: Iterable[Resource], system: str) -> list[str]:
    codings = (coding for concept in concepts for coding in concept.get("coding", ()))
    return [str(c["code"]) for c in codings if "code" in c and preferred(str(c.get("system", ""))) == system]


def rules(day: date) -> Rules:
    """The vaccination rules of a day: an operator's, or those that come with the product. Raises RuleFileError."""
    folder = settings.PHR_IMMUNIZATION_RULES
    return rules_at(day, Path(folder)) if folder else rules_at(day)
