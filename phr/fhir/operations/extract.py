"""QuestionnaireResponse `$extract`: the Observations a response says (SDC 3.0.0, observation-based extraction).

Of a resource that is sent, they are told as a transaction that would store them. Of a stored response they are
stored: what it says is there once however often this is called, an answer that was corrected becomes a new version,
one that is gone becomes entered-in-error. Only the side that wrote the response does this: its words stay its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from django.db import transaction

from phr.fhir import extraction, questionnaires, throttle, wire
from phr.fhir.door import admitted
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.inputs import In, refused
from phr.fhir.operations.kept import Kept
from phr.fhir.outcome import Problem
from phr.records import body
from phr.records.gateway import Gone, NotFound, Records, Stored

TYPE, MADE = "QuestionnaireResponse", "Observation"
PLACE = "questionnaire-response"
ERRED = "entered-in-error"
MOST_VERSIONS = 100  # of a response, that are looked at for what they once said
Resource = dict[str, Any]


@operation(
    "extract",
    on=(TYPE,),
    levels={"type", "instance"},
    definition="http://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract",
    inputs=(In(PLACE, TYPE),),
    changes=True,
)
def extract(records: Records, ask: Ask) -> bytes:
    """A `transaction` of what the sent response says; or store what the stored one says: a `transaction-response`."""
    if ask.id is None:
        admitted(records, TYPE, "r")
        response = ask.one(PLACE)
        if response is None:
            raise refused(PLACE, "回答を送ってください。Send the response.", "required")
        return _proposed(_said(records, response))
    if ask.one(PLACE) is not None:
        raise refused(PLACE, "保存済みの回答とともには送れません。Not together with a stored response.")
    for type, letters in ((TYPE, "r"), (MADE, "rcu")):
        for letter in letters:
            admitted(records, type, letter)
    with records.accounted(), transaction.atomic():
        return _bundle(records, _stored(records, ask.id))


def _said(records: Records, response: Resource) -> list[Resource]:
    """Raises Problem (422) where there is no Questionnaire to read it by, or it does not fit."""
    canonical = response.get("questionnaire", "")
    found = questionnaires.find(canonical) or _kept(records, canonical)
    if found is None:
        text = "質問票が見つかりません。The Questionnaire is not known here."
        raise Problem(422, "not-found", text, f"{TYPE}.questionnaire")
    try:
        return extraction.observations(found, response)
    except extraction.Unfit as error:
        raise Problem(422, "business-rule", str(error), error.place) from None


def _kept(records: Records, canonical: str) -> Mapping[str, Any] | None:
    url, _, version = canonical.partition("|")
    if not url or not any("s" in d.letters and d.type in ("*", "Questionnaire") for d in records.scope.doors):
        return None
    return Kept(records).find("Questionnaire", url, version or None)


# -- told only -----------------------------------------------------------------------------------------


def _proposed(said: Iterable[Resource]) -> bytes:
    entries = [
        b'{"resource":%s,"request":{"method":"POST","url":"%s"}}' % (body.write(_unnamed(one)), MADE.encode())
        for one in said
    ]
    return wire.bundle("transaction", entries)


def _unnamed(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name != "id"}


# -- stored --------------------------------------------------------------------------------------------


def _stored(records: Records, id: str) -> list[tuple[int, Stored]]:
    """Store what the response says now; (status, resource) of each, those that erred last."""
    records.lock_all([(TYPE, id)])  # two calls at once follow each other
    found = records.read(TYPE, id)
    if found.facts.author != records.author:
        text = "回答した側だけが取り出せます。Only the side that wrote the response extracts from it."
        raise Problem(403, "forbidden", text, TYPE)
    response = body.parse(found.body or b"{}")
    said = [] if response.get("status") == ERRED else _wanted(records, response)
    earlier = {one.id: one for one in _earlier(records, id)}
    names = {one["id"] for one in said}
    over = [one for one in earlier.values() if one.id not in names]
    ours = _made_by_us(records, found, response) if over else frozenset()
    over = [one for one in over if one.id in ours]
    throttle.charge(records, len(said) + sum(not _has_erred(one) for one in over))
    told = [_kept_in_step(records, one, earlier) for one in said]
    return [pair for pair in told if pair is not None] + [(200, _erred(records, one)) for one in over]


def _made_by_us(records: Records, found: Stored, response: Resource) -> set[str] | frozenset[str]:
    """Ids of all that this operation may have made of this response, as it stands and as it stood before.

    Others, too, may say that an Observation derives from it: theirs is not ours to take back.
    """
    ids = extraction.names(response)
    for version in range(max(1, found.version - MOST_VERSIONS), found.version):
        try:
            past = records.vread(TYPE, found.id, version)
        except (Gone, NotFound):
            continue
        ids |= extraction.names(body.parse(past.body or b"{}"))
    return ids


def _wanted(records: Records, response: Resource) -> list[Resource]:
    if response.get("status") not in extraction.DONE:
        text = "回答が完了していません。The response is not completed."
        raise Problem(422, "business-rule", text, f"{TYPE}.status")
    return _said(records, response)


def _earlier(records: Records, id: str) -> list[Stored]:
    """What earlier calls stored and this caller sees, whatever has become of it since."""
    asked = [("derived-from", f"{TYPE}/{id}")]
    query = wire.query(MADE, asked, now=records.now, strict=True)
    found = records.find(query, letter="r", limit=2 * extraction.MOST)
    return [one for one in found if one.facts.author == records.author]


def _kept_in_step(records: Records, wanted: Resource, earlier: Mapping[str, Stored]) -> tuple[int, Stored] | None:
    """Created, or brought to what is said now. What the family deleted stays deleted: None."""
    id = wanted["id"]
    if id in earlier:
        return 200, records.update(MADE, id, wanted)
    try:
        records.read(MADE, id)
    except Gone:
        return None
    except NotFound:
        return 201, records.create_all([wanted], keep_ids=True)[0]
    return 200, records.update(MADE, id, wanted)


def _has_erred(found: Stored) -> bool:
    return body.parse(found.body or b"{}").get("status") == ERRED


def _erred(records: Records, found: Stored) -> Stored:
    content = body.parse(found.body or b"{}")
    return found if _has_erred(found) else records.update(MADE, found.id, content | {"status": ERRED})


def _bundle(records: Records, told: Iterable[tuple[int, Stored]]) -> bytes:
    entries = []
    for status, one in told:
        response = {
            "status": str(status), "etag": wire.etag(one.version), "lastModified": wire.instant(one.updated_at),
            "location": f"{one.reference}/_history/{one.version}",
        }  # fmt: skip
        head = msgspec.json.encode({"fullUrl": f"{wire.base()}/{one.reference}", "response": response})
        entries.append(head[:-1] + b',"resource":%s}' % wire.shown(one, labels=records.shows_labels(one)))
    return wire.bundle("transaction-response", entries)
