"""One row of the permission table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PERSONAS = ("anonymous", "mother", "father", "aunt", "clinic", "officer", "stranger")

FORM = "application/x-www-form-urlencoded"
FHIR = "application/fhir+json"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Row:
    """`told`: one status per persona. `body`: a form text, or the name of a body that the test makes."""

    route: str
    method: str
    path: str
    told: str
    body: str | dict[str, Any] | None = None

    @property
    def statuses(self) -> dict[str, int]:
        return dict(zip(PERSONAS, map(int, self.told.split()), strict=True))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
