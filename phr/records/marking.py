"""Protective marks on a resource and on everything that follows from it (G-12, G-13).

A mark is a security label of our own in the body, so it derives like every other Fact; it is set as a new version, by
the trust, whoever wrote the resource. What refers to something marked is marked too: what stands there already by
`following`, what arrives later by `inherited`. Earlier versions are hidden with the current one (`histories`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from consent import prepared
from consent.scope import OPEN_TYPES, Mark
from phr.records import body, facts, index, store, vault
from phr.records.admission import stamp
from phr.records.store import Draft, Stored
from phr.records.systems import OWN_MARK

CODES = {"minor-confidential": Mark.MINOR_CONFIDENTIAL, "child-protection": Mark.CHILD_PROTECTION}
_MOMENT = timedelta(milliseconds=1)  # as precise as meta.lastUpdated
_POINTING = re.compile(rb'"reference":"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})["/]')
_NO_ROOTS = OPEN_TYPES | {"Patient", "RelatedPerson", "EpisodeOfCare", "Person", "Group", "CareTeam"}
# What an encounter itself points to, and what was made at it
_FORWARD = {"Encounter": ("appointment", "diagnosis"), "DiagnosticReport": ("result",)}


def references_in(content: bytes) -> set[str]:
    """What a body refers to that a mark can pass along."""
    found = {one.decode() for one in _POINTING.findall(content)}
    return {one for one in found if one.partition("/")[0] not in _NO_ROOTS}


def following(subject: UUID, roots: Iterable[str]) -> list[Stored]:
    """The roots, and everything in this record that follows from them, locked. Oldest first."""
    everything = {one.reference: one for one in _whole(subject)}
    pointed = defaultdict(set)
    for one in everything.values():
        for target in references_in(one.body or b""):
            pointed[target].add(one.reference)
    reached: set[str] = set()
    waiting = [root for root in roots if root in everything]
    while waiting:
        name = waiting.pop()
        if name in reached or name.partition("/")[0] in _NO_ROOTS or name not in everything:
            continue
        reached.add(name)
        waiting += [*pointed[name], *_onward(everything[name])]
    return [one for name, one in everything.items() if name in reached]


def mark(found: Sequence[Stored], code: str, *, now: datetime) -> list[str]:
    """Set a mark on each; returns the references that changed. In the caller's transaction."""
    return _change(found, lambda labels: [*labels, _label(code)] if _label(code) not in labels else labels, now)


def replace_mark(found: Sequence[Stored], code: str, by: str | None, *, now: datetime) -> list[str]:
    """Take a mark away, or put another in its place; returns the references that changed."""

    def changed(labels: list[Any]) -> list[Any]:
        if _label(code) not in labels:
            return labels
        rest = [one for one in labels if one != _label(code)]
        return [*rest, _label(by)] if by is not None and _label(by) not in rest else rest

    return _change(found, changed, now)


def inherited(drafts: Sequence[Draft]) -> list[str | None]:
    """Of each draft, the mark it must bear because of what it refers to; the stricter where there are two."""
    pointed = [references_in(draft.body) if draft.facts.subjects else set() for draft in drafts]
    names = sorted(set().union(*pointed)) if pointed else []
    marks = _marks_of(names) if names else {}
    borne = [0] * len(drafts)
    growing = True
    while growing:  # a draft passes on what it bears to those that come with it
        growing = False
        for n, (draft, targets) in enumerate(zip(drafts, pointed, strict=True)):
            mask = borne[n]
            for target in targets:
                mask |= marks.get(target, 0)
            name, own = f"{draft.facts.type}/{draft.facts.id}", (mask | draft.facts.marks) & _PROTECTIVE
            growing |= mask != borne[n] or (bool(own) and marks.get(name) != own)
            borne[n] = mask
            if own:
                marks[name] = own
    return [_code(mask & ~draft.facts.marks) for mask, draft in zip(borne, drafts, strict=True)]


def with_mark(resource: dict[str, Any], code: str) -> dict[str, Any]:
    """The same resource with the label."""
    meta = resource.get("meta", {})
    return {**resource, "meta": {**meta, "security": [*meta.get("security", []), _label(code)]}}


_PROTECTIVE = int(Mark.MINOR_CONFIDENTIAL | Mark.CHILD_PROTECTION)


def _code(mask: int) -> str | None:
    if mask & Mark.CHILD_PROTECTION:
        return "child-protection"
    return "minor-confidential" if mask & Mark.MINOR_CONFIDENTIAL else None


def _label(code: str) -> dict[str, str]:
    return {"system": OWN_MARK, "code": code}


def _marks_of(names: Collection[str]) -> dict[str, int]:
    types, ids = zip(*(name.split("/") for name in names), strict=True)
    rows = prepared.fetch(
        "SELECT r.type, r.fhir_id, r.marks FROM phr_resource r WHERE r.marks & %s <> 0 AND (r.type, r.fhir_id) IN"
        " (SELECT * FROM unnest(%s::text[], %s::text[]))",
        [_PROTECTIVE, list(types), list(ids)],
    )
    return {f"{kind}/{id}": marks & _PROTECTIVE for kind, id, marks in rows}


def _whole(subject: UUID) -> list[Stored]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"{store.select()} WHERE (r.subject_id = %s OR r.subject2_id = %s) AND NOT r.deleted ORDER BY r.id"
            " FOR UPDATE OF r",
            [subject, subject],
        )
        return [store.stored(row, store.facts_of_row(row)) for row in cursor.fetchall()]


def _onward(found: Stored) -> set[str]:
    elements = _FORWARD.get(found.type)
    if elements is None:
        return set()
    content = body.parse(found.body or b"{}")
    return set().union(*(references_in(body.write({"it": content.get(name, [])})) for name in elements))


def _change(found: Sequence[Stored], change: Callable[[list[Any]], list[Any]], now: datetime) -> list[str]:
    changed = []
    for one in found:
        content = body.parse(one.body or b"{}")
        before = content.get("meta", {}).get("security", [])
        after = change(before)
        if after == before:
            continue
        meta = {name: value for name, value in content["meta"].items() if name != "security"}
        when = max(now, one.updated_at + _MOMENT)
        resource = {**content, "meta": meta | ({"security": after} if after else {})}
        fresh = stamp(resource, id=one.id, version=one.version + 1, now=when)
        fact = facts.facts_of(fresh, author=one.facts.author)
        draft = Draft(fact, body.write(fresh), index.index_of(fresh, vault.index_key()), one.version + 1)
        store.replace(one, draft, now=when)
        changed.append(one.reference)
    return changed
