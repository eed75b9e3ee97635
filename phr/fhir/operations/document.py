"""Composition `$document`: a stored Composition with all it speaks of (R4 operation-composition-document).

A document is whole or it is not made: where anything it refers to cannot be read (it is elsewhere, it is not there,
it is not shown: these look alike), an error names the reference, which stands in the Composition anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import msgspec

from phr.fhir import wire
from phr.fhir.door import admitted
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.inputs import In, refused
from phr.fhir.outcome import Problem
from phr.records import body
from phr.records.gateway import Records, Stored, TooCostly
from phr.records.search.terms import literal

MOST = 1000  # resources of one document


@operation(
    "document",
    on=("Composition",),
    levels={"type", "instance"},
    definition="http://hl7.org/fhir/OperationDefinition/Composition-document",
    inputs=(In("id", "uri"), In("persist", "boolean"), In("graph", "uri")),
)
def document(records: Records, ask: Ask) -> bytes:
    """The document of one Composition, made now and not stored. Logged."""
    admitted(records, "Composition", "r")
    for name in ("persist", "graph"):
        if ask.one(name, False):
            raise refused(
                name, "保存も、範囲の指定もできません。Documents are neither stored nor shaped.", "not-supported"
            )
    composition = records.read("Composition", _id(ask))
    content = body.parse(wire.shown(composition, labels=records.shows_labels(composition)))
    references = list(dict.fromkeys(_local(reference) for reference in _spoken_of(content)))
    if len(references) > MOST:
        raise TooCostly(f"a document holds at most {MOST} resources")
    found = records.referred_to(references)
    missing = set(references) - {one.reference for one in found}
    if missing:
        raise _incomplete(min(missing))
    entries = [composition, *found]
    entries += [one for one in records.supporting(entries) if one.reference not in references]
    records.log_extract("$document", entries, type="Composition")
    return _bundle(records, content, entries)


def _id(ask: Ask) -> str:
    given = ask.one("id")
    if ask.id is not None:
        if given is not None:
            raise refused("id", "URL の id と一緒には使えません。Not together with an id in the URL.")
        return ask.id
    if given is None:
        raise refused("id", "必要な引数がありません。This parameter is required.", "required")
    return str(given).removeprefix(f"{wire.base()}/").removeprefix("Composition/")


def _spoken_of(content: Mapping[str, Any]) -> Iterator[str]:
    """What a document must hold (R4 documents.html §3.3.1): every reference of the Composition's own elements."""
    yield from _texts([content.get("subject"), content.get("encounter"), content.get("custodian")])
    yield from _texts(content.get("author", ()))
    yield from _texts(attester.get("party") for attester in content.get("attester", ()))
    for event in content.get("event", ()):
        yield from _texts(event.get("detail", ()))
    sections = list(content.get("section", ()))
    while sections:
        section = sections.pop(0)
        yield from _texts([*section.get("author", ()), section.get("focus"), *section.get("entry", ())])
        sections += section.get("section", ())


def _texts(references: Any) -> Iterator[str]:
    for reference in references:
        text = (reference or {}).get("reference", "")
        if text and not text.startswith("#"):
            yield text


def _local(reference: str) -> str:
    """`Type/id`. Raises Problem (422) for what is not on this server."""
    parts = literal(reference)
    if parts is None or parts[0] is not None:
        raise _incomplete(reference)
    return f"{parts[1]}/{parts[2]}"


def _incomplete(reference: str) -> Problem:
    text = f"{reference[:200]} を読めないため、文書を作れません。The document would be incomplete without it."
    return Problem(422, "incomplete", text, "Composition")


def _bundle(records: Records, content: Mapping[str, Any], entries: list[Stored]) -> bytes:
    head = {
        "resourceType": "Bundle",
        "id": str(uuid4()),
        "identifier": content.get("identifier") or {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid4()}"},
        "type": "document",
        "timestamp": wire.instant(records.now),
    }
    texts = (
        b'{"fullUrl":%s,"resource":%s}'
        % (msgspec.json.encode(f"{wire.base()}/{e.reference}"), wire.shown(e, labels=records.shows_labels(e)))
        for e in entries
    )
    return msgspec.json.encode(head)[:-1] + b',"entry":[' + b",".join(texts) + b"]}"
