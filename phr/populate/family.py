"""A family and everything recorded about it, as values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from phr.populate.facilities import Facility, Town
from phr.populate.people import Human
from phr.populate.sheet import Resource, Sheet

REFERENCE_ON = date(2026, 4, 1)  # nothing happens on or after this day


@dataclass(frozen=True, slots=True)
class Family:
    """`sheets`: what each author wrote about each person, in the order to be stored (Patients first)."""

    seed: int
    number: int
    mother: Human
    father: Human | None
    children: tuple[Human, ...]  # oldest first
    due_on: date | None  # of the child expected, if any
    town: Town
    clinic: Facility  # where the mother is cared for
    sheets: list[Sheet] = field(default_factory=list)

    @property
    def people(self) -> tuple[Human, ...]:
        return (self.mother, *([self.father] if self.father else []), *self.children)

    @property
    def resources(self) -> Iterator[Resource]:
        for sheet in self.sheets:
            yield from sheet.resources

    def of(self, subject: str) -> list[Resource]:
        """All resources about one person."""
        return [r for sheet in self.sheets if sheet.subject == subject for r in sheet.resources]

    def bundle(self, subject: str) -> Resource:
        """One person's resources as a transaction Bundle."""
        return transaction_bundle(self.of(subject))


def transaction_bundle(resources: list[Resource]) -> Resource:
    """A transaction Bundle that stores the resources under their own ids (PUT)."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in resources
        ],
    }
