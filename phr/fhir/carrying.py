"""One entry of a Bundle that writes: what the token must carry, what its condition is, what its answer says."""

from __future__ import annotations

from typing import Any

import msgspec

from phr.fhir import hinting, preconditions, wire
from phr.fhir.door import admitted
from phr.fhir.entries import Entry
from phr.fhir.outcome import Issue, Problem, as_json
from phr.records.gateway import Records, Stored
from phr.records.search.parse import Query

_LETTERS = {"DELETE": "d", "POST": "c", "PUT": "u", "PATCH": "ur"}


def admit(records: Records, entry: Entry) -> None:
    """Raises Problem (403) where the token does not carry what the entry does; Kept for what is never deleted."""
    for letter in _LETTERS[entry.method]:
        admitted(records, entry.type, letter)
    if entry.method == "DELETE":
        records.deletable(entry.type)


def condition(records: Records, entry: Entry) -> Query | None:
    """The entry's condition. Raises Problem (403), BadSearch."""
    if entry.condition is None:
        return None
    admitted(records, entry.type, "s")
    name = "If-None-Exist" if entry.method == "POST" else "condition"
    return preconditions.condition(entry.type, entry.condition, now=records.now, name=name)


def id_fits(entry: Entry) -> None:
    """An update names its id twice (R4 http.html §3.1.0.4). Raises Problem (400)."""
    if (entry.resource or {}).get("id") != entry.id:
        raise Problem(400, "invalid", "id が url と違います。The id is not the one in the url.", f"{entry.type}.id")


def answer(status: int, stored: Stored | None, *, prefer: str, records: Records) -> bytes:
    """The response entry (R4 http.html §3.1.0.11.3); the resource or an outcome as the client prefers.

    Hints on what was written are told in any case.
    """
    told: dict[str, Any] = {"status": str(status)}
    if stored is not None:
        told |= {"etag": wire.etag(stored.version), "lastModified": wire.instant(stored.updated_at)}
        if not stored.deleted:
            told["location"] = f"{stored.reference}/_history/{stored.version}"
    text = msgspec.json.encode({"response": told})
    hints = hinting.issues(records, stored)
    if prefer == "OperationOutcome" or hints:
        done = Issue("informational", "済みました。Done.", severity="information")
        text = text[:-2] + b',"outcome":%s}}' % as_json(hints or [done])
    if prefer != "representation" or stored is None or stored.body is None:
        return text
    return b'{"resource":%s,%s' % (wire.shown(stored, labels=records.shows_labels(stored)), text[1:])
