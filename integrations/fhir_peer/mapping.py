"""Their resources as ours, and ours as theirs. Pure.

In: our id follows from (peer, type, their id, person); `meta.source` names the original; their identifiers stay,
but for those we know our own things by; references within what is fetched lead to our ids, all others to the peer by
their whole address.
Out: our identifier is added (what they have is found again by it), the person is their Patient, what they have of ours
is referred to by their id, everything else by our identifier.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from integrations import ids, retiring
from integrations.fhir_peer import naming
from integrations.fhir_peer.parse import Unusable, named
from phr.records import systems

OWN_RESOURCE: Final = f"{systems.OWN}/IdSystem/resource"  # value: where it stands, with the version left out
FROM_PEER: Final = {"system": systems.OWN_ORIGIN, "code": "peer"}
UNSOUND: Final = {"system": systems.OWN_ORIGIN, "code": "not-conforming"}  # valid FHIR, not by its profile
TYPES: Final = frozenset(retiring.STATUS | retiring.VERIFICATION.keys())  # whose deletion has a word
# Those of TYPES that have no `identifier`, or only one of other cardinality: they cannot be found again there.
_ONE: Final = frozenset({"Composition", "QuestionnaireResponse"})  # 0..1
NOT_SENT: Final = frozenset({"GuidanceResponse"})

_RELATIVE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)
_OURS_ALONE = frozenset({"versionId", "lastUpdated", "source"})

Resource = dict[str, Any]
Names = Mapping[str, str]  # Type/id -> Type/id


@dataclass(frozen=True, slots=True)
class There:
    """One person at one peer. `base`: its FHIR base; `patient`: her id there; `types`: what is fetched;
    `sent`: what we have sent of hers, their names -> ours; `own`: our own FHIR base."""

    base: str
    patient: str
    subject: UUID
    types: Collection[str]
    sent: Names
    own: str


def our_id(there: There, type: str, id: str) -> str:
    """The id under which a resource of theirs stands in this person's record."""
    return ids.resource_id(type, "peer", there.base, id, str(there.subject))


def is_own(resource: Mapping[str, Any], own: str) -> bool:
    """Whether it came from here: by our identifier, or by its source."""
    told = resource.get("identifier")
    for one in told if isinstance(told, list) else [told]:
        if isinstance(one, dict) and one.get("system") == OWN_RESOURCE and str(one.get("value")).startswith(f"{own}/"):
            return True
    meta = resource.get("meta")
    return isinstance(meta, dict) and str(meta.get("source", "")).startswith(f"{own}/")


def taken(resource: Mapping[str, Any], there: There) -> Resource:
    """A resource of theirs as it stands here, without what only we say of our own.

    Raises Unusable: `other-person` where it names anybody else's Patient.
    """
    type, id = named(resource)

    def ours(reference: str) -> str:
        relative = reference.removeprefix(f"{there.base}/")
        found = _RELATIVE.fullmatch(relative)
        if found is None:
            if reference.startswith(f"{there.own}/Patient/"):  # nobody but they name people here
                raise Unusable("other-person")
            return reference
        kind, target = found.groups()
        if kind == "Patient":
            if target != there.patient:
                raise Unusable("other-person")
            return f"Patient/{there.subject}"
        if known := there.sent.get(f"{kind}/{target}"):
            return known
        return f"{kind}/{our_id(there, kind, target)}" if kind in there.types else f"{there.base}/{relative}"

    sound = naming.checked(resource, base=there.base, patient=there.patient)
    walked: Resource = _walked(sound, ours, f"{there.base}/")
    meta = walked.get("meta")
    kept = {k: v for k, v in meta.items() if k not in _OURS_ALONE} if isinstance(meta, dict) else {}
    tags = kept.get("tag")
    kept["tag"] = [*(tags if isinstance(tags, list) else []), FROM_PEER]
    return walked | {"id": our_id(there, type, id), "meta": kept | {"source": f"{there.base}/{type}/{id}"}}


def tagged(resource: Resource) -> Resource:
    """The same, marked as one that does not conform to what it claims."""
    meta = resource["meta"]
    return resource | {"meta": meta | {"tag": [*meta["tag"], UNSOUND]}}


def identifier(own: str, type: str, id: str) -> dict[str, str]:
    """What a resource of ours is found by, wherever it goes."""
    return {"system": OWN_RESOURCE, "value": f"{own}/{type}/{id}"}


def given(resource: Mapping[str, Any], there: There) -> Resource:
    """A resource of ours as it goes to them: without our id and version, about their Patient.

    Raises Unusable where it names another person, or where no identifier of ours can stand.
    """
    type, id = named(resource)
    back = {ours: theirs for theirs, ours in there.sent.items()}

    def theirs(reference: str) -> str | dict[str, Any]:
        relative = reference.removeprefix(f"{there.own}/")
        found = _RELATIVE.fullmatch(relative)
        if found is None:
            return reference
        kind, target = found.groups()
        if kind == "Patient":
            if target != str(there.subject):
                raise Unusable("other-person")
            return f"Patient/{there.patient}"
        return back.get(f"{kind}/{target}") or {"type": kind, "identifier": identifier(there.own, kind, target)}

    walked: Resource = _walked({k: v for k, v in resource.items() if k != "id"}, theirs, "")
    meta = walked.get("meta", {})
    walked["meta"] = {k: v for k, v in meta.items() if k not in _OURS_ALONE} | {"source": f"{there.own}/{type}/{id}"}
    _identify(walked, identifier(there.own, type, id))
    return walked


def _identify(resource: Resource, ours: dict[str, str]) -> None:
    type = resource["resourceType"]
    if type in NOT_SENT or (type in _ONE and "identifier" in resource):
        raise Unusable("no-identifier")
    resource["identifier"] = ours if type in _ONE else [*resource.get("identifier", []), ours]


def _walked(node: Any, turn: Callable[[str], str | dict[str, Any]], prefix: str) -> Any:
    """A copy with every Reference turned; a relative `url` of an Attachment is completed with `prefix`."""
    if isinstance(node, list):
        return [_walked(one, turn, prefix) for one in node]
    if not isinstance(node, dict):
        return node
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key == "reference" and isinstance(value, str):
            turned = turn(value)
            out |= turned if isinstance(turned, dict) else {key: turned}
        elif key == "url" and prefix and isinstance(value, str) and _RELATIVE.fullmatch(value):
            out[key] = prefix + value
        else:
            out[key] = _walked(value, turn, prefix)
    return out


def provenance(there: There, names: Collection[str], *, author: Mapping[str, Any], sources: Collection[str],
               key: str, recorded: str) -> Resource:  # fmt: skip
    """Where a page of theirs came from: the peer's organisation wrote it, we brought it in.

    `names`: our names of what was written; `sources`: their addresses with version; `key`: makes the id its own.
    """
    participant = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    product = {"type": "Device", "display": "Tsumugi 紡",
               "identifier": {"system": "urn:ietf:rfc:3986", "value": systems.OWN}}  # fmt: skip
    agents = [("author", author), ("assembler", product)]
    return {
        "resourceType": "Provenance",
        "id": ids.resource_id("Provenance", "peer", there.base, str(there.subject), key, *sorted(names)),
        "target": [{"reference": name} for name in (*names, f"Patient/{there.subject}")],
        "recorded": recorded,
        "agent": [{"type": {"coding": [{"system": participant, "code": code}]}, "who": who} for code, who in agents],
        "entity": [
            {"role": "source", "what": {"identifier": {"system": "urn:ietf:rfc:3986", "value": source}}}
            for source in sources
        ],
    }  # fmt: skip
