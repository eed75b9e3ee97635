"""`$meta`, `$meta-add`, `$meta-delete`: profiles, tags and security labels (R4 resource-operations.html §2.22).

Security labels are shown to, and taken away by, the organisation alone that wrote the resource; the family may add
them to its own words, as it may in any update. For a type or for everything the answer sums up what the caller sees
of the patient in the token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.http import HttpResponse

from consent.scope import OPEN_TYPES
from phr.fhir import wire
from phr.fhir.door import admitted
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.everything import sole_patient
from phr.fhir.operations.inputs import In
from phr.fhir.outcome import FHIR_JSON, Problem
from phr.records import body, definitions
from phr.records.gateway import Records, Stored, TooCostly

MOST = 5000  # resources that are summed up
LABELS = ("tag", "security")
DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-"
Meta = dict[str, Any]


@operation("meta", levels={"system", "type", "instance", "version"}, definition=f"{DEFINITION}meta")
def meta(records: Records, ask: Ask) -> bytes | HttpResponse:
    """Of one resource, or one version, its meta; of a type or of everything, the profiles, tags and labels in use."""
    if ask.type is not None and ask.id is not None:
        admitted(records, ask.type, "r")
        return _one(records, _read(records, ask.type, ask.id, ask.version))
    admitted(records, ask.type, "s")
    if ask.type in OPEN_TYPES:
        text = "個人に属さない型ではまとめられません。Not summed up for types that belong to nobody."
        raise Problem(422, "not-supported", text)
    subject = sole_patient(records)
    types = (ask.type,) if ask.type else tuple(sorted(definitions.concrete_types()))
    return _told(_summed_up(records, subject, types))


@operation(
    "meta-add", levels={"instance"}, definition=f"{DEFINITION}meta-add", inputs=(In("meta", "Meta", min=1),),
    changes=True,
)  # fmt: skip
def meta_add(records: Records, ask: Ask) -> HttpResponse:
    """Add profiles, tags and labels; those that are there already stay as they are."""
    return _changed(records, ask, added)


@operation(
    "meta-delete", levels={"instance"}, definition=f"{DEFINITION}meta-delete", inputs=(In("meta", "Meta", min=1),),
    changes=True,
)  # fmt: skip
def meta_delete(records: Records, ask: Ask) -> HttpResponse:
    """Take profiles, tags and labels away; it is no error if they are not there."""
    return _changed(records, ask, taken_away)


def _changed(records: Records, ask: Ask, change: Callable[[Meta, Meta], Meta]) -> HttpResponse:
    type, id, given = ask.type or "", ask.id or "", ask.one("meta")
    admitted(records, type, "r")
    admitted(records, type, "u")
    current = records.read(type, id)
    if "security" in given and not _labels_are_theirs(records, current, adding=change is added):
        text = "セキュリティラベルを変えられるのは書いた組織だけです。Only its writer changes security labels."
        raise Problem(403, "forbidden", text, "Parameters.parameter.valueMeta.security")

    def changed(content: dict[str, Any]) -> dict[str, Any]:
        return {**content, "meta": change(content.get("meta", {}), given)}

    return _one(records, records.patch(type, id, changed))


def _read(records: Records, type: str, id: str, version: str | None) -> Stored:
    if version is None:
        return records.read(type, id)
    return records.vread(type, id, wire.version_of(type, id, version))


def _labels_are_theirs(records: Records, found: Stored, *, adding: bool) -> bool:
    """Whoever does not see the labels can add to them, at most, and only to what is the own side's."""
    return records.shows_labels(found) or (adding and found.facts.author == records.author)


def _one(records: Records, found: Stored) -> HttpResponse:
    content = body.parse(wire.shown(found, labels=records.shows_labels(found)))
    answer = HttpResponse(_told(content.get("meta", {})), content_type=FHIR_JSON)
    answer["ETag"] = wire.etag(found.version)
    return answer


def _told(meta: Meta) -> bytes:
    """A result that is no resource stands in a Parameters (R4 operations.html §3.2.0.2)."""
    parameter = {"parameter": [{"name": "return", "valueMeta": meta}]} if meta else {}
    return body.write({"resourceType": "Parameters", **parameter})


def _summed_up(records: Records, subject: UUID, types: tuple[str, ...]) -> Meta:
    found, more = records.newest(subject, types, most=MOST)
    if more:
        raise TooCostly(f"more than {MOST} resources to sum up: ask for one type")
    records.log_extract("$meta", found, type=types[0] if len(types) == 1 else "*")
    total: Meta = {}
    for one in found:
        if b'"meta"' in (one.body or b""):
            shown = body.parse(wire.shown(one, labels=records.shows_labels(one))).get("meta", {})
            total = added(total, {name: shown[name] for name in ("profile", *LABELS) if name in shown})
    return total


# -- sets of profiles, tags and labels: pure ---------------------------------------------------------


def added(current: Meta, given: Meta) -> Meta:
    """The union. A tag or label is its system and code, a profile its URL (operation-resource-meta-add)."""
    out = dict(current)
    for name in ("profile", *LABELS):
        have = {_identity(one) for one in current.get(name, ())}
        new = list({_identity(one): one for one in given.get(name, ()) if _identity(one) not in have}.values())
        if new:
            out[name] = [*current.get(name, ()), *new]
    return out


def taken_away(current: Meta, given: Meta) -> Meta:
    """The difference; what is empty then is not there (FHIR has no empty arrays)."""
    out = dict(current)
    for name in ("profile", *LABELS):
        gone = {_identity(one) for one in given.get(name, ())}
        if kept := [one for one in current.get(name, ()) if _identity(one) not in gone]:
            out[name] = kept
        else:
            out.pop(name, None)
    return out


def _identity(one: str | Mapping[str, Any]) -> object:
    return one if isinstance(one, str) else (one.get("system"), one.get("code"))
