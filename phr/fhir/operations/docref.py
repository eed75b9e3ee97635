"""DocumentReference `$docref`: the documents of a patient, and the summary that can be made now (IPA 1.1, US Core).

A document that can be made is told as a DocumentReference without an id: its attachment points to `$summary`, which
makes it when it is fetched. With `on-demand` it is made now and stands in the attachment.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from phr.fhir import wire
from phr.fhir.door import admitted
from phr.fhir.ips import document
from phr.fhir.ips.wording import codings
from phr.fhir.operations import summary
from phr.fhir.operations.answers import entry, link
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.everything import care_dates
from phr.fhir.operations.inputs import In
from phr.fhir.outcome import FHIR_JSON
from phr.records import body
from phr.records.gateway import Gone, NotFound, Records, Stored, TooCostly
from phr.records.systems import LOINC

MOST = 1000
SUMMARY = (LOINC, "60591-5")
INPUTS = (
    In("patient", "id", min=1),
    In("start", "dateTime"),
    In("end", "dateTime"),
    In("type", "string", max=None, token=True),
    In("on-demand", "boolean"),
    In("profile", "canonical", max=None),
)
Span = tuple[datetime | None, datetime | None]


@operation(
    "docref",
    on=("DocumentReference",),
    levels={"type"},
    definition="http://hl7.org/fhir/uv/ipa/OperationDefinition/docref",
    inputs=INPUTS,
)
def docref(records: Records, ask: Ask) -> bytes:
    """The documents that meet the question, newest first; none for a patient the caller cannot see. Logged."""
    admitted(records, "DocumentReference", "s")
    span = care_dates(ask)
    try:
        subject = records.patient(ask.one("patient"))
    except (NotFound, Gone):
        records.log_extract("$docref", [], type="DocumentReference")
        return _told(ask, [])
    made = _made(records, ask, subject, span)
    if ask.one("on-demand", False):
        return _told(ask, made)
    kept = _kept(records, ask, subject, span)
    records.log_extract("$docref", kept, type="DocumentReference")
    return _told(ask, [*made, *(entry(records, found, b"match") for found in kept)])


def _told(ask: Ask, entries: list[bytes]) -> bytes:
    return wire.bundle("searchset", entries, links=[("self", link(ask, None))], total=len(entries))


def _kept(records: Records, ask: Ask, subject: UUID, span: Span) -> list[Stored]:
    """The stored ones. Raises TooCostly rather than leaving some out."""
    found, more = records.newest(subject, ("DocumentReference",), most=MOST)
    if more:
        raise TooCostly(f"more than {MOST} documents: search DocumentReference page by page instead")
    return [one for one in found if _meets(one, ask, span)]


def _meets(found: Stored, ask: Ask, span: Span) -> bool:
    resource = body.parse(found.body or b"{}")
    low, high = span
    facts = found.facts
    if (low and facts.high and facts.high <= low) or (high and facts.low and facts.low >= high):
        return False
    if resource.get("status") == "entered-in-error":
        return False
    wanted, profiles = ask.many("type"), ask.many("profile")
    return (not wanted or any(_is(c, w) for c in codings(resource.get("type")) for w in wanted)) and (
        not profiles or bool(_formats(resource) & set(profiles))
    )


def _is(coding: Mapping[str, Any], wanted: str) -> bool:
    """Whether a coding is meant by a token: `system|code`, `|code`, `code` or `system|`."""
    system, bar, code = wanted.rpartition("|")
    if not bar:
        return coding.get("code") == code
    return coding.get("system", "") == system and code in ("", coding.get("code"))


def _formats(resource: Mapping[str, Any]) -> set[str]:
    """What the content says of its form: codes of `content.format` and of `meta.profile`."""
    formats = {str(c["format"].get("code")) for c in resource.get("content", ()) if "format" in c}
    return formats | set(resource.get("meta", {}).get("profile", ()))


def _made(records: Records, ask: Ask, subject: UUID, span: Span) -> list[bytes]:
    """The reference to the summary of now, where it is asked for."""
    if span[1] is not None and span[1] <= records.now:
        return []  # it tells of today
    wanted, profiles = ask.many("type"), ask.many("profile")
    if wanted and not any(_is({"system": SUMMARY[0], "code": SUMMARY[1]}, w) for w in wanted):
        return []
    if profiles and not any(p.partition("|")[0] in summary.PROFILES for p in profiles):
        return []
    at = records.now.isoformat(timespec="milliseconds")
    attachment: dict[str, Any] = {"contentType": FHIR_JSON.partition(";")[0], "language": "ja", "creation": at}
    if ask.one("on-demand", False):
        content = summary.made(records, subject)
        attachment |= {
            "data": base64.b64encode(content).decode(),
            "size": len(content),
            # sha-1 is what Attachment.hash is defined as; nothing rests on it
            "hash": base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode(),
        }
    else:
        attachment["url"] = f"{wire.base()}/Patient/{subject}/$summary"
    resource = {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [{"system": SUMMARY[0], "code": SUMMARY[1], "display": "Patient summary Document"}]},
        "subject": {"reference": f"{wire.base()}/Patient/{subject}"},
        "date": at,
        "description": "患者サマリー International Patient Summary",
        "content": [{"attachment": attachment, "format": {
            "system": "urn:ietf:rfc:3986", "code": f"{document.PROFILES}Bundle-uv-ips"}}],
    }  # fmt: skip
    url = msgspec.json.encode(f"urn:uuid:{uuid4()}")
    return [b'{"fullUrl":%s,"resource":%s,"search":{"mode":"match"}}' % (url, body.write(resource))]
