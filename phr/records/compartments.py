"""A person's whole record at once: the patient compartment, and what its resources refer to.

The compartment is what the Facts say: every resource about the person, as first or second subject. What is
referred to and belongs to nobody (Practitioner, Organization, Medication …) stands beside each page, as
included resources do in a search: a page can be understood by itself, and memory stays flat.
Use it through `gateway.Records`. Source: FHIR R4 operation-patient-everything, compartmentdefinition-patient.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consent import prepared
from consent.audit import Event
from consent.scope import OPEN_TYPES, Facts
from phr.records import store
from phr.records.reading import Gone, NotFound, Page, Reading, bounded, fetch
from phr.records.scoping import SQL, Known, Params, scope_sql
from phr.records.search import cursor as paging
from phr.records.store import Stored

HOPS = 3  # from a clinical resource to a PractitionerRole to its Organization to the one above
MOST_REFERRED = 1000  # beside one page
# The key cannot occur inside a string: there its quotation marks would be escaped (`body.write` leaves no spaces).
_POINTING = re.compile(rb'"reference":"((?:%s)/[A-Za-z0-9\-.]{1,64})["/]' % "|".join(sorted(OPEN_TYPES)).encode())
# Within one record the person comes first; then as it was stored. Neither changes while pages are turned.
_PLACE = "CASE WHEN r.type = 'Patient' THEN -r.id ELSE r.id END"


@dataclass(frozen=True, slots=True)
class Whole:
    """What is asked of a record. `subject` None: of everybody's (operators). `types`: none = all.

    `low`, `high`: clinical time, half-open; what has none is always in. `since`: stored after it.
    """

    subject: UUID | None
    types: tuple[str, ...] = ()
    since: datetime | None = None
    low: datetime | None = None
    high: datetime | None = None
    count: int = 1000

    @property
    def fingerprint(self) -> str:
        return f"$everything {self.subject} {self.types} {self.since} {self.low} {self.high}"


class Compartments(Reading):
    """The whole records one caller may read."""

    _lately: tuple[UUID, Known | None] | None = None

    def patient(self, id: str) -> UUID:
        """The person behind a Patient the caller may read. Raises NotFound, Gone. Who tells of it writes the log."""
        p = Params()
        rows = prepared.fetch(self._select_current("Patient", id, "r", p), p.values)
        found = self._opened(rows, letter="r", known=self._known_person(rows[0][3]) if rows else None)
        if not found:
            raise NotFound(f"Patient/{id}")
        if found[0].deleted:
            raise Gone(found[0].reference)
        return found[0].facts.subjects[0]

    def everything(
        self, whole: Whole, *, cursor: str | None = None, keep: Callable[[Facts], bool] | None = None
    ) -> Page:
        """One page of a record, logged; `patient` was asked before. Raises BadSearch for the cursor, TooCostly.

        `keep`: what of it is told at all; the rest is not logged either, and pages may be short.
        """
        mark = paging.opened(cursor, caller=self.caller, epoch=self.scope.epoch, query=whole) if cursor else None
        known = self._known_person(whole.subject) if whole.subject else None
        p = Params()
        rows = fetch(bounded(_walk(self, whole, mark, p, known)), p)
        entries, last, more = self._page(rows, whole.count, letter="s", known=known)
        entries = entries if keep is None else [entry for entry in entries if keep(entry.facts)]
        supporting, cut = self._supporting(entries, whole.types)
        self._log_found(Event.RECORD_SEARCHED, {"type": "Patient", "method": "$everything"}, [*entries, *supporting])
        after = paging.Mark(last[store.WIDTH + 1], (last[store.WIDTH],)) if more else None
        next_page = paging.sealed(after, caller=self.caller, epoch=self.scope.epoch, query=whole) if after else None
        return Page(entries, next_page, None, supporting, cut)

    def newest(self, subject: UUID, types: tuple[str, ...], *, most: int) -> tuple[list[Stored], bool]:
        """The newest resources of these types about a person, by clinical time, without a time last.

        And whether there are more than `most`, or than a page has bytes: whoever tells of them must say so.
        Whoever tells of them writes the log.
        """
        known = self._known_person(subject)
        p = Params()
        where = _inside(self, subject, p, known)
        sql = (
            f"{store.select(terms=self.granular)} WHERE {where} AND r.type = ANY({p(list(types))})"
            f" ORDER BY r.clinical_low DESC NULLS LAST, r.id DESC LIMIT {p(most + 1)}"
        )
        entries, _, more = self._page(fetch(bounded(sql), p), most, letter="s", known=known)
        return entries, more

    def referred_to(self, references: Sequence[str]) -> list[Stored]:
        """Of these (`Type/id`) what the caller may read, once each, in their order. Who tells of it writes the log."""
        found = {one.reference: one for one in self._named(list(references))} if references else {}
        return [found[reference] for reference in dict.fromkeys(references) if reference in found]

    def supporting(self, entries: Iterable[Stored]) -> list[Stored]:
        """What belongs to nobody and is referred to from these; see the module."""
        return self._supporting(entries, ())[0]

    def log_extract(self, method: str, entries: Iterable[Stored], *, type: str = "Patient") -> None:
        """Write the log of what an operation is about to tell."""
        self._log_found(Event.RECORD_SEARCHED, {"type": type, "method": method}, entries)

    def _known_person(self, subject: UUID) -> Known | None:
        """The effective rows about one person, read once for what is asked in one request."""
        if self._lately is None or self._lately[0] != subject:
            self._lately = (subject, self._known_about(frozenset({subject})))
        return self._lately[1]

    def _supporting(self, entries: Iterable[Stored], types: tuple[str, ...]) -> tuple[list[Stored], str | None]:
        found: dict[str, Stored] = {}
        newly, asked = list(entries), set[str]()
        for _ in range(HOPS):
            wanted = {m.decode() for e in newly for m in _POINTING.findall(e.body or b"")} - asked
            if types:
                wanted = {reference for reference in wanted if reference.partition("/")[0] in types}
            if len(asked) + len(wanted) > MOST_REFERRED:
                return list(found.values()), f"more than {MOST_REFERRED} resources are referred to; they are left out"
            asked |= wanted
            newly = self._named(sorted(wanted), nobodys=True) if wanted else []
            found |= {entry.reference: entry for entry in newly}
        return list(found.values()), None

    def _named(self, references: list[str], *, nobodys: bool = False) -> list[Stored]:
        """The current versions of these that the caller may read. `nobodys`: only what has no subject."""
        p = Params()
        types, ids = zip(*(reference.split("/") for reference in references), strict=True)
        scope = scope_sql(self.scope, "r", p)
        sql = (
            f"{store.select(terms=self.granular)} WHERE (r.type, r.fhir_id) IN"
            f" (SELECT * FROM unnest({p(list(types))}::text[], {p(list(ids))}::text[])) AND NOT r.deleted"
            f"{' AND r.subject_id IS NULL' if nobodys else ''} AND {scope} ORDER BY r.id"
        )
        return self._opened(prepared.fetch(sql, p.values), letter="r")


def _inside(records: Reading, subject: UUID | None, p: Params, known: Known | None) -> SQL:
    scope = scope_sql(records.scope, "s", p, known=known)
    if subject is None:
        return f"r.subject_id IS NOT NULL AND NOT r.deleted AND {scope}"
    about = p(subject)
    # CASE: as in a search inside one record, the scope is no rarity.
    return (
        f"(r.subject_id = {about} OR r.subject2_id = {about}) AND NOT r.deleted"
        f" AND CASE WHEN {scope} THEN TRUE ELSE FALSE END"
    )


def _walk(records: Reading, whole: Whole, mark: paging.Mark | None, p: Params, known: Known | None) -> SQL:
    where = [_inside(records, whole.subject, p, known)]
    if whole.types:
        where.append(f"r.type = ANY({p(list(whole.types))})")
    if whole.since:
        where.append(f"r.updated_at > {p(whole.since)}")
    if whole.low:
        where.append(f"(r.clinical_high IS NULL OR r.clinical_high > {p(whole.low)})")
    if whole.high:
        where.append(f"(r.clinical_low IS NULL OR r.clinical_low < {p(whole.high)})")
    high_water = "(SELECT max(id) FROM phr_resource)"
    place = _PLACE if whole.subject else "r.id"
    if mark:
        high_water = p(mark.high_water)
        where += [f"{place} > {p(mark.after[0])}", f"r.id <= {high_water}"]
    extra = f", {place} AS place, {high_water} AS high_water"
    return (
        f"{store.select(terms=records.granular, extra=extra)} WHERE {' AND '.join(where)}"
        f" ORDER BY place LIMIT {p(whole.count + 1)}"
    )
