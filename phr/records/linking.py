"""Who is who: the identities a system may ask about in a link request. Use it through `gateway.Records`.

The only door at which a Patient is found without a consent; what leaves it is decided where it is asked
(`phr/fhir/decisions/match-discloses-little.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from consent import audit
from consent.audit import Event
from consent.decide import Deny, decide_link
from consent.in_force import in_force_for
from phr.records.reading import Refused
from phr.records.search.parse import Query
from phr.records.searching import Searching
from phr.records.store import Stored

MOST = 200  # candidates of one question


class Linking(Searching):
    """What one caller may learn of who is who."""

    def candidates(self, queries: Sequence[Query]) -> list[Stored]:
        """Patients that meet any of these, each once. Raises Refused (audited). Who tells of them writes the log."""
        opened = self._for_linking()
        found = (one for query in queries for one in opened.find(query, letter="s", limit=MOST))
        return list({one.pk: one for one in found}.values())

    def _for_linking(self) -> Self:
        match decide_link(self.caller, in_force_for(self.caller, now=self.now), self.now):
            case Deny(because=why):
                audit.record(Event.RECORD_REFUSED, by=self.caller, now=self.now, detail={"because": str(why)})
                raise Refused(str(why))
            case permit:
                return type(self)(self.caller, permit, now=self.now)
