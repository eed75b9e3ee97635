"""What of a notebook the record already knows from somebody else: a family's import does not tell it twice.

It looks with the family's own eyes, so nothing shows that is hidden from them. An organisation's import never looks:
what others brought in must not show in what happens to its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any
from uuid import UUID

from integrations.jahis_qr.remarks import RECORD
from integrations.same_dispense import keys_of
from phr.records import body, dispensing, systems
from phr.records.dispensing import alike
from phr.records.gateway import Records
from phr.records.search.parse import parse as parse_search
from phr.records.systems import DISPENSE_LOOSE_KEY

Resource = dict[str, Any]
BY_WORDS = ("AllergyIntolerance", "Condition", "Communication", "MedicationStatement", "CareTeam")
MOST = 500  # resources that are compared by their words
AT_ONCE = 16  # keys asked for in one search: a value has 2,000 characters at most
DROPPED = ("MedicationStatement", "CareTeam")  # an end given later would change what another wrote


def known(found: Iterable[Resource], *, subject: UUID, records: Records) -> list[Resource]:
    """The resources, those that stand in the record already under the id they have there; some are left out."""
    mine = list(found)
    there: dict[object, set[str]] = {}
    for told, id in chain(_by_key(mine, subject, records), _by_words(mine, subject, records)):
        there.setdefault(told, set()).add(id)
    for told, id in _moved(mine, there, subject, records):
        there.setdefault(told, set()).add(id)
    kept = []
    for resource in mine:
        ids = there.get(_fingerprint(resource), set())
        if not ids or resource["id"] in ids:
            kept.append(resource)
        elif resource["resourceType"] not in DROPPED:
            kept.append(resource | {"id": min(ids)})
    return kept


def _by_key(mine: Iterable[Resource], subject: UUID, records: Records) -> Iterator[tuple[object, str]]:
    """Dispensings by their exact key. A claim counts only where it names the drug alike: else there is more to tell."""
    mine = list(mine)
    keys = iter([f"{systems.DISPENSE_KEY}|{key}" for r in mine for key in _keys(r)])
    wanted = {_fingerprint(r): dispensing.said(r) for r in mine if _keys(r)}
    while some := list(islice(keys, AT_ONCE)):
        query = parse_search("MedicationDispense", [("identifier", ",".join(some))], now=records.now)
        stored = [one for one in records.find(query, letter="s", limit=4 * AT_ONCE) if not one.deleted]
        for one in reversed(stored):
            resource = body.parse(one.body or b"{}")
            if one.facts.subjects[:1] == (subject,) and resource.get("status") != "entered-in-error":
                told = _fingerprint(resource)
                if told not in wanted or alike(wanted[told], dispensing.said(resource)):
                    yield told, one.id


def _moved(
    mine: Iterable[Resource], there: Mapping[object, set[str]], subject: UUID, records: Records
) -> Iterator[tuple[object, str]]:
    """Dispensings that stand there at another place of the same RP, word for word: a notebook written for somebody
    from whom a drug was hidden has moved the others up. Each that stands there answers for one."""
    dispensed = [r for r in mine if r["resourceType"] == "MedicationDispense"]
    taken = {r["id"] for r in dispensed}.union(*there.values())
    new = [r for r in dispensed if _fingerprint(r) not in there]
    free: dict[bytes, list[str]] = {}
    for one in records.newest(subject, ("MedicationDispense",), most=MOST)[0] if new else ():
        resource = body.parse(one.body or b"{}")
        if one.id not in taken and one.facts.subjects[:1] == (subject,) and resource["status"] != "entered-in-error":
            free.setdefault(_wherever(resource), []).append(one.id)
    for resource in new:
        if ids := free.get(_wherever(resource)):
            yield _fingerprint(resource), ids.pop()


def _wherever(resource: Mapping[str, Any]) -> bytes:
    """What a notebook says of a dispensing, but for its place in the RP."""
    numbers = [i for i in resource.get("identifier", ()) if i.get("system") in (systems.RP_NUMBER, DISPENSE_LOOSE_KEY)]
    where = [] if len(numbers) > 1 else resource.get("performer", [])  # the loose keys name the pharmacy
    said = ("extension", "status", "medicationCodeableConcept", "quantity", "daysSupply", "whenHandedOver",
            "dosageInstruction", "authorizingPrescription")  # fmt: skip
    return body.write({"numbers": numbers, "where": where} | {name: resource.get(name) for name in said})


def _by_words(mine: Iterable[Resource], subject: UUID, records: Records) -> Iterator[tuple[object, str]]:
    types = tuple(sorted({r["resourceType"] for r in mine} & set(BY_WORDS)))
    if types:
        for one in records.newest(subject, types, most=MOST)[0]:
            if one.facts.subjects[:1] == (subject,):
                yield _fingerprint(body.parse(one.body or b"{}")), one.id


def _keys(resource: Mapping[str, Any]) -> list[str]:
    return keys_of(resource.get("identifier", ()), systems.DISPENSE_KEY)


def _fingerprint(resource: Mapping[str, Any]) -> object:
    """What makes two resources tell the same; the resource's own id where nothing does."""
    kind = resource["resourceType"]
    text = resource.get("code", {}).get("text")
    match kind:
        case "MedicationDispense" if keys := _keys(resource):
            said = dispensing.said(resource)  # anybody may write a key
            return kind, *sorted(keys), resource.get("medicationCodeableConcept", {}).get("text"), said.day
        case "AllergyIntolerance" if text:
            return kind, resource.get("type", "allergy"), text
        case "Condition" if text:
            return kind, text, tuple(c.get("text") for c in resource.get("category", ()))
        case "Communication":
            payload = tuple(p.get("contentString") for p in resource.get("payload", ()))
            return kind, _record(resource), resource.get("sent"), payload
        case "MedicationStatement":
            told = resource.get("medicationCodeableConcept", {}).get("text")
            return kind, told, resource.get("effectivePeriod", {}).get("start")
        case "CareTeam":
            who = [(p.get("member", {}).get("display"), p.get("onBehalfOf", {}).get("display"),
                    p.get("period", {}).get("start")) for p in resource.get("participant", ())]  # fmt: skip
            return kind, *who
    return kind, resource.get("id")


def _record(resource: Mapping[str, Any]) -> tuple[str | None, ...]:
    codings = (c for concept in resource.get("category", ()) for c in concept.get("coding", ()))
    return tuple(c.get("code") for c in codings if c.get("system") == RECORD)
