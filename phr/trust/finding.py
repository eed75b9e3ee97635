"""The one person an emergency team means: by a number, or by name and birth date. Never a list of persons."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from consent.decide import Caller, Capacity
from consent.models import Organization
from consent.scope import Door, Purpose
from phr.records.gateway import Records
from phr.records.search.parse import BadSearch, Query, parse


def by_identifier(system: str, value: str, *, office: Organization, now: datetime) -> UUID | None:
    """The only Patient with this number; None: none, or more than one."""
    return _only([("identifier", f"{_literal(system)}|{_literal(value)}")], office, now)


def by_name(family: str, given: str, born: date, *, office: Organization, now: datetime) -> UUID | None:
    """The only Patient of this name (as written, kanji or kana) born on this day; None: none, or more than one."""
    pairs = [("family:exact", _literal(family)), ("given:exact", _literal(given)), ("birthdate", born.isoformat())]
    return _only(pairs, office, now)


def _only(pairs: list[tuple[str, str]], office: Organization, now: datetime) -> UUID | None:
    """Asked as a link request is (`phr.records.linking`): identities only, none that is restricted or protected."""
    caller = Caller(
        client="emergency", capacity=Capacity.SYSTEM, purpose=Purpose.PATADMIN, doors=(Door("Patient", "s"),),
        organization=office.pk,
    )  # fmt: skip
    try:
        query: Query = parse("Patient", pairs, now=now)
    except BadSearch:
        return None
    found = Records.opened_by(caller, now=now).candidates([query])
    return UUID(found[0].id) if len(found) == 1 else None


def _literal(text: str) -> str:
    """A value as a search takes it literally (R4 search.html §3.1.1.4.0.1)."""
    for mark in ("\\", ",", "|", "$"):
        text = text.replace(mark, f"\\{mark}")
    return text
