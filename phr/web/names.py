"""The name on a record, read through the gateway as the person herself would: no other way leads to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from consent.decide import Caller, Capacity
from consent.models import Person
from consent.scope import Door
from phr.records import body
from phr.records.gateway import Gone, NotFound, Records, Refused
from phr.smart.launches import Role


def name_of(role: Role, person: Person, *, now: datetime) -> str:
    """Name and birth date on the record of a role; what may not be read is said without a name."""
    if role.subject is None:
        return str(role.organization) if role.organization else person.name
    found = _official(_patient(role, person, now).get("name"))
    return found or (person.name if role.capacity is Capacity.SELF else _("お子さん"))


def born(on: date | None) -> str:
    return _("%(date)s生まれ") % {"date": date_format(on, "DATE_FORMAT")} if on else ""


def _patient(role: Role, person: Person, now: datetime) -> Mapping[str, Any]:
    caller = Caller(
        client="web", capacity=role.capacity, purpose=role.purpose, doors=(Door("Patient", "r"),),
        person=person.pk, subject=role.subject, organization=role.organization.pk if role.organization else None,
    )  # fmt: skip
    try:
        stored = Records.opened_by(caller, now=now).read("Patient", str(role.subject))
    except (Refused, NotFound, Gone):
        return {}
    return body.parse(stored.body or b"{}")


def _official(names: object) -> str:
    """The written form (IDE) before the kana (SYL); JP Core marks them by extension."""
    if not isinstance(names, list):
        return ""
    written = [name for name in names if isinstance(name, dict) and "SYL" not in str(name.get("extension", ""))]
    for name in [*written, *names]:
        text = name.get("text") or " ".join([name.get("family", ""), *name.get("given", [])]).strip()
        if text:
            return str(text)
    return ""
