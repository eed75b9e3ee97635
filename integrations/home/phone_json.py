"""Lists of samples as apps send them: HealthKit's, Health Connect's, or plain ones. Pure.

{"source": "apple-health", "samples": [{"uuid", "type", "startDate", "endDate", "value", "unit", "sourceName"}],
 "deleted": ["uuid"]}
{"source": "health-connect", "records": [{"recordType", "metadata": {"id", "lastModifiedTime", "device"}, "time",
 "zoneOffset", "weight": {"inKilograms": 70.5}}], "deleted": ["id"]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from integrations.home.samples import (
    LONGEST_ID,
    Gone,
    Passed,
    Reading,
    Sample,
    field_of,
    keys,
    measure_of,
    moment,
    number,
    unit_of,
)  # fmt: skip
from integrations.home.wording import say
from integrations.ids import digest
from integrations.problems import Problem, Unreadable

LISTS = ("samples", "records")
Node = Mapping[str, Any]
Read = Sample | Gone | Passed | Problem


class _Unfit(Exception):
    """A sample that cannot be used; the code says why."""


def read(content: object) -> Iterator[Read]:
    """Everything in the document, in its order; a Problem's `part` is the position, from 1. Raises Unreadable."""
    if not isinstance(content, dict) or not any(isinstance(content.get(name), list) for name in LISTS):
        raise Unreadable([say("not-samples")])
    source = content.get("source", "app")
    if not isinstance(source, str) or not 0 < len(source) <= 64:
        raise Unreadable([say("not-samples")])
    nodes = [node for name in LISTS if isinstance(content.get(name), list) for node in content[name]]
    for place, node in enumerate(nodes, start=1):
        yield _one(node, source, place)
    deleted = content.get("deleted", [])
    for place, id in enumerate(deleted if isinstance(deleted, list) else [], start=1):
        yield Gone(source, id, place) if _is_id(id) else say("bad-id", part=place)


def _is_id(id: object) -> bool:
    return isinstance(id, str) and 0 < len(id) <= LONGEST_ID


def _one(node: object, source: str, place: int) -> Read:
    if not isinstance(node, dict):
        return say("not-a-sample", part=place)
    type = next((node[k] for k in ("type", "recordType", "quantityType", "sampleType") if k in node), "")
    measure = measure_of(type) if isinstance(type, str) else ""
    if not measure:
        return Passed(type[:80] if isinstance(type, str) else "?")
    try:
        return _sample(node, measure, source, place)
    except _Unfit as error:
        return say(str(error), part=place)


def _sample(node: Node, measure: str, source: str, place: int) -> Sample:
    told = node.get("metadata")
    metadata: Node = told if isinstance(told, dict) else {}
    offset = next((node[k] for k in ("zoneOffset", "startZoneOffset") if k in node), None)
    start = moment(next((node[k] for k in ("startDate", "startTime", "time", "start") if k in node), None), offset)
    end = moment(next((node[k] for k in ("endDate", "endTime", "end") if k in node), None), offset)
    if start is None:
        raise _Unfit("bad-time")
    readings = _readings(node, measure)
    named: tuple[Node, ...] = (node, metadata)
    id = next((n[k] for n in named for k in ("uuid", "id") if n.get(k) is not None), None)
    if id is not None and not _is_id(id):
        raise _Unfit("bad-id")
    device = _device(node, metadata)
    uid = id or digest(measure, start.isoformat(), end.isoformat() if end else "", device, repr(readings))
    changed = moment(metadata.get("lastModifiedTime")) if id else None
    return Sample(source, uid, readings, start, end if end and end > start else None, place, device, changed)


def _readings(node: Node, measure: str) -> tuple[Reading, ...]:
    if measure == "pressure":
        return tuple(_reading(node.get(half), None, half, "mmHg") for half in ("systolic", "diastolic"))
    inner = node.get(field_of(measure)) if "value" not in node and "quantity" not in node else None
    value = inner if inner is not None else node.get("value", node.get("quantity", node.get("count")))
    return (_reading(value, node.get("unit"), measure, "count" if measure == "fetal-movements" else ""),)


def _reading(value: object, unit: object, measure: str, usual: str) -> Reading:
    """A number with its unit beside it, or {"value", "unit"}, or {"inKilograms": …}."""
    if isinstance(value, dict):
        if key := next((k for k in keys() if k in value), ""):
            return _checked(number(value[key]), keys()[key], measure)
        unit = value.get("unit", unit)
        value = value.get("value")
    spelled = usual if unit is None else unit
    return _checked(number(value), unit_of(spelled) if isinstance(spelled, str) else "", measure)


def _checked(value: Any, unit: str, measure: str) -> Reading:
    if value is None:
        raise _Unfit("no-value")
    if not unit:
        raise _Unfit("no-unit")
    return Reading(measure, value, unit)


def _device(node: Node, metadata: Node) -> str:
    device = next((n["device"] for n in (node, metadata) if isinstance(n.get("device"), dict | str)), "")
    if isinstance(device, dict):
        words = [device.get(k) for k in ("name", "manufacturer", "model")]
        device = " ".join(dict.fromkeys(w for w in words if isinstance(w, str)))
    source = node.get("sourceName", metadata.get("dataOrigin", ""))
    return (device or (source if isinstance(source, str) else ""))[:80]
