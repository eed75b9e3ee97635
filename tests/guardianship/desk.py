"""What the scenarios ask the doors, in their words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from consent import rules
from consent.models import Guardianship, Person
from tests.family import Answer, App, Neighbourhood, encoded

API = "/api/trust/"


def post(app: App, path: str, given: Any = None) -> Answer:
    return app.ask("POST", API + path, encoded(given if given is not None else {}), type="application/json")


def get(app: App, path: str) -> Answer:
    return app.ask("GET", API + path)


def done(app: App, path: str, given: Any = None) -> Any:
    answer = post(app, path, given)
    assert answer.status in (200, 201, 202, 204), answer
    return answer.json if answer.content else None


def person(username: str) -> Person:
    return Person.objects.get(username=username)


def link_of(username: str, record: UUID) -> Guardianship:
    return Guardianship.objects.get(person__username=username, subject_id=record)


def new_link(username: str, record: UUID, **more: Any) -> dict[str, Any]:
    """The body that links somebody to a child."""
    today = rules.today_in_japan(timezone.now())
    return {
        "record": str(record), "person": person(username).pk, "kind": "appointed", "evidence": "court-order",
        "starts_on": str(today), "review_on": str(today + timedelta(days=300)), **more,
    }  # fmt: skip


def freeze(family: Neighbourhood, username: str, record: UUID, reason: str = "support-measure") -> None:
    done(family.officer, f"desk/guardianships/{link_of(username, record).pk}/freeze", {"reason": reason})


def seen(app: App, record: UUID) -> set[str]:
    """Every reference the app finds in a record, on every page of $everything."""
    found: set[str] = set()
    url: str | None = f"Patient/{record}/$everything"
    while url:
        answer = app.get(url)
        if answer.status == 404:
            return found
        assert answer.status == 200, answer
        found |= {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in answer.json.get("entry", [])}
        url = answer.next
    return found
