"""Observations that a QuestionnaireResponse says, by the marks its Questionnaire bears. Pure.

Source: SDC Implementation Guide 3.0.0, "Form Data Extraction", observation-based; here an item marked
`observationExtract` (or below one that is) and coded becomes one Observation per answer. An answer to an item marked
with our own `extract-effective` dates the Observations of its group and of the groups below.

Ids follow from the response, the item and its place, so extracting again meets what is there already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from phr.records.systems import OBSERVATION_CATEGORY, OWN, OWN_ORIGIN, SELF_ENTERED

Resource = dict[str, Any]
Node = Mapping[str, Any]

SDC: Final = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
EXTRACT: Final = f"{SDC}observationExtract"
CATEGORY: Final = f"{SDC}observation-extract-category"
UNIT: Final = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"
EFFECTIVE: Final = f"{OWN}/StructureDefinition/extract-effective"
DONE: Final = frozenset({"completed", "amended"})
SURVEY = {"coding": [{"system": OBSERVATION_CATEGORY, "code": "survey"}]}
PERFORMERS = ("Practitioner/", "PractitionerRole/", "Organization/", "CareTeam/", "Patient/", "RelatedPerson/")
MOST = 500  # Observations of one response

# type of an item -> the value[x] an answer to it has (R4 questionnaireresponse.html, "qrs-1" and item types)
ANSWERS: Final[Mapping[str, tuple[str, ...]]] = {
    "boolean": ("valueBoolean",), "decimal": ("valueDecimal", "valueInteger"), "integer": ("valueInteger",),
    "date": ("valueDate",), "dateTime": ("valueDateTime",), "time": ("valueTime",), "string": ("valueString",),
    "text": ("valueString",), "url": ("valueUri",), "choice": ("valueCoding",),
    "open-choice": ("valueCoding", "valueString"), "attachment": ("valueAttachment",),
    "reference": ("valueReference",), "quantity": ("valueQuantity",), "group": (), "display": (),
}  # fmt: skip


class Unfit(ValueError):
    """The response is no answer to this Questionnaire. `place`: FHIRPath in the response."""

    def __init__(self, why: str, place: str) -> None:
        super().__init__(why)
        self.place = place


@dataclass(frozen=True, slots=True)
class _Item:
    """An item of the Questionnaire, with what it inherits from those above."""

    type: str
    node: Node
    extract: bool
    category: tuple[Any, ...]


@dataclass(slots=True)
class _Walk:
    items: Mapping[str, _Item]
    response: Node
    found: list[Resource] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)  # how often a linkId has been answered

    def times(self, link: str) -> int:
        self.seen[link] = self.seen.get(link, 0) + 1
        return self.seen[link] - 1


def observations(questionnaire: Node, response: Node) -> list[Resource]:
    """What the response says, in its order; nothing while it is not completed. Raises Unfit.

    An Observation of a stored response has an id, and points to it (`derivedFrom`).
    """
    walk = _Walk(dict(_items(questionnaire.get("item", ()), _root(questionnaire))), response)
    _level(walk, response.get("item", ()), "QuestionnaireResponse", _authored(response))
    return walk.found if response.get("status") in DONE else []


def names(response: Node) -> set[str]:
    """The ids of all Observations that a stored response can have become, by whatever Questionnaire."""
    id, seen = str(response.get("id", "")), dict[str, int]()
    for link in _answers(response.get("item", ())):
        seen[link] = seen.get(link, 0) + 1
    return {_id(id, link, times) for link, number in seen.items() for times in range(min(number, MOST))}


def _answers(nodes: Any) -> Iterator[str]:
    """The linkId of each answer."""
    for node in nodes:
        for answer in node.get("answer", ()):
            yield str(node.get("linkId", ""))
            yield from _answers(answer.get("item", ()))
        yield from _answers(node.get("item", ()))


# -- the Questionnaire ---------------------------------------------------------------------------------


def _root(questionnaire: Node) -> _Item:
    return _marked(questionnaire, _Item("group", questionnaire, extract=False, category=()))


def _items(nodes: Any, above: _Item) -> Iterator[tuple[str, _Item]]:
    for node in nodes:
        item = replace(_marked(node, above), type=str(node.get("type", "")), node=node)
        yield str(node.get("linkId", "")), item
        yield from _items(node.get("item", ()), item)


def _marked(node: Node, above: _Item) -> _Item:
    """The marks of a node, or else those it inherits (SDC: on a group they hold for all below)."""
    told = [e.get("valueBoolean") for e in _extensions(node, EXTRACT)]
    category = tuple(e["valueCodeableConcept"] for e in _extensions(node, CATEGORY) if "valueCodeableConcept" in e)
    return replace(above, extract=told[0] is True if told else above.extract, category=category or above.category)


def _extensions(node: Node, url: str) -> list[Node]:
    return [e for e in node.get("extension", ()) if e.get("url") == url]


# -- the response --------------------------------------------------------------------------------------


def _authored(response: Node) -> str:
    return str(response.get("authored", ""))


def _level(walk: _Walk, nodes: Any, place: str, effective: str) -> None:
    """The items of one group: first what dates it, then what it says."""
    effective = _dated(walk, nodes) or effective
    for at, node in enumerate(nodes):
        here = f"{place}.item[{at}]"
        link = str(node.get("linkId", ""))
        item = walk.items.get(link)
        if item is None:
            raise Unfit("質問票にない項目です。The Questionnaire has no item of this linkId.", f"{here}.linkId")
        for n, answer in enumerate(node.get("answer", ())):
            value = _value(item, answer, f"{here}.answer[{n}]")
            if value is not None and item.extract and item.node.get("code"):
                _said(walk, item, link, value, effective)
            _level(walk, answer.get("item", ()), f"{here}.answer[{n}]", effective)
        _level(walk, node.get("item", ()), here, effective)


def _dated(walk: _Walk, nodes: Any) -> str:
    for node in nodes:
        item = walk.items.get(str(node.get("linkId", "")))
        if item is not None and any(e.get("valueBoolean") is True for e in _extensions(item.node, EFFECTIVE)):
            for answer in node.get("answer", ()):
                return str(answer.get("valueDate") or answer.get("valueDateTime") or "")
    return ""


def _value(item: _Item, answer: Node, place: str) -> tuple[str, Any] | None:
    """The answer's value[x]; None: there is none. Raises Unfit for one the item does not take."""
    found = [(key, value) for key, value in answer.items() if key.startswith("value")]
    if not found:
        return None
    key, value = found[0]
    if key not in ANSWERS.get(item.type, ()):
        raise Unfit(f"この項目の答えは {key} ではありません。An item of type {item.type} takes no {key}.", place)
    options = [o["valueCoding"] for o in item.node.get("answerOption", ()) if "valueCoding" in o]
    if key == "valueCoding" and item.type == "choice" and options and _name(value) not in map(_name, options):
        raise Unfit("選択肢にない答えです。Not one of the options.", place)
    return key, value


def _name(coding: Node) -> tuple[Any, Any]:
    return coding.get("system"), coding.get("code")


def _said(walk: _Walk, item: _Item, link: str, value: tuple[str, Any], effective: str) -> None:
    observed = _observed(item, *value)
    if observed is None:
        return
    if len(walk.found) >= MOST:
        raise Unfit(f"答えが {MOST} を超えます。More than {MOST} answers to extract.", "QuestionnaireResponse.item")
    id, times = walk.response.get("id"), walk.times(link)
    walk.found.append(_resource(walk.response, item, observed, effective, _id(str(id), link, times) if id else ""))


def _observed(item: _Item, key: str, value: Any) -> tuple[str, Any] | None:
    """The value[x] of the Observation; None for what none can hold (attachments, references)."""
    unit = next((e.get("valueCoding", {}) for e in _extensions(item.node, UNIT)), None)
    match key:
        case "valueDecimal" | "valueInteger" if unit is not None or key == "valueDecimal":
            told = {"unit": unit.get("display", unit.get("code")), **_coded(unit)} if unit else {}
            return "valueQuantity", {"value": value, **told}
        case "valueCoding":
            text = value.get("display")
            return "valueCodeableConcept", {"coding": [value], **({"text": text} if text else {})}
        case "valueDate":
            return "valueDateTime", value
        case "valueUri":
            return "valueString", value
        case "valueAttachment" | "valueReference":
            return None
    return key, value


def _coded(unit: Node) -> dict[str, Any]:
    return {name: unit[name] for name in ("system", "code") if name in unit}


def _resource(response: Node, item: _Item, value: tuple[str, Any], effective: str, id: str) -> Resource:
    text = item.node.get("text")
    made: Resource = {"resourceType": "Observation"}
    if id:
        made["id"] = id
    made |= {
        "meta": {"tag": [{"system": OWN_ORIGIN, "code": SELF_ENTERED}]},
        "status": "amended" if response.get("status") == "amended" else "final",
        "category": list(item.category) or [SURVEY],
        "code": {"coding": list(item.node["code"]), **({"text": text} if text else {})},
    }
    for name in ("subject", "encounter"):
        if name in response:
            made[name] = response[name]
    if effective:
        made["effectiveDateTime"] = effective
    by = next((response[n] for n in ("author", "source") if _performs(response.get(n))), None)
    if by:
        made["performer"] = [by]
    made[value[0]] = value[1]
    if id:
        made["derivedFrom"] = [{"reference": f"QuestionnaireResponse/{response['id']}"}]
    return made


def _performs(reference: Any) -> bool:
    told = reference.get("reference", "") if isinstance(reference, Mapping) else ""
    return str(told).startswith(PERFORMERS)


def _id(response: str, link: str, times: int) -> str:
    """A UUID (RFC 9562, version 8) of the answer's place: the n-th to this item in this response."""
    text = sha256(f"extract|{response}|{times}|{link}".encode()).hexdigest()
    return str(UUID(f"{text[:12]}8{text[13:16]}{'89ab'[int(text[16], 16) & 3]}{text[17:32]}"))
