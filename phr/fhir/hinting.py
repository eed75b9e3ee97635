"""What a family writes is looked at once more: an unlikely measurement is stored, tagged, and its writer is told.

Hints are no refusals and no medical judgement (phr/records/plausibility.py). They stand in `meta.tag` of the
resource, and are told with `Prefer: return=OperationOutcome` and in the answers of Bundles.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from consent.models import Subject
from phr.fhir.outcome import Issue
from phr.records import body, plausibility
from phr.records.gateway import Records, Stored
from phr.records.plausibility import Hint
from phr.records.store import Draft
from phr.trust.consent_records import ConsentRecords


class HintingRecords(ConsentRecords):
    """Records that look twice at what a family measures."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hints: dict[str, list[Hint]] = {}  # by the reference of what was written
        self._born: dict[UUID, date | None] = {}

    def _draft(
        self, resource: dict[str, Any], *, id: str, version: int, author: int | None, when: datetime | None = None
    ) -> Draft:
        draft = super()._draft(resource, id=id, version=version, author=author, when=when)
        if author is not None or draft.facts.type != "Observation":
            return draft
        sound = body.parse(draft.body)
        if not plausibility.concerned(sound):
            return draft
        found = plausibility.hints(sound, born=self._birth_of(draft.facts.subjects))
        if found:
            self.hints[f"Observation/{id}"] = found
        tagged = plausibility.tagged(sound, found)
        if tagged is sound:
            return draft
        return super()._draft(tagged, id=id, version=version, author=author, when=when)

    def _birth_of(self, subjects: frozenset[UUID] | tuple[UUID, ...]) -> date | None:
        """Of the one person it is about; of two, nobody's."""
        if len(subjects) != 1:
            return None
        [subject] = subjects
        if subject not in self._born:
            self._born[subject] = Subject.objects.filter(pk=subject).values_list("birth_on", flat=True).first()
        return self._born[subject]


def issues(records: Records, stored: Stored | None) -> list[Issue]:
    """The hints on what was just written."""
    if stored is None or not isinstance(records, HintingRecords):
        return []
    return [Issue("business-rule", h.text, h.expression, h.severity) for h in records.hints.get(stored.reference, ())]
