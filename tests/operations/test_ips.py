"""Summaries of whatever a record may hold: always a sound document, always the same. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.scope import Facts
from phr.fhir.ips import chosen, document, wording
from phr.fhir.ips.chosen import Item
from phr.records import body, validate
from phr.records.gateway import Stored
from phr.records.systems import LOINC
from tests.records.samples import patient, sample

NOW = datetime(2026, 4, 1, 3, tzinfo=UTC)
WHO = UUID("5f0c2c9e-0d6b-4c2a-9a43-0c5be9a0c111")
BASE = "http://127.0.0.1:8000/fhir"


def item(pk: int, resource: dict[str, Any], *, low: datetime | None = NOW, high: datetime | None = NOW) -> Item:
    resource = {**resource, "id": resource.get("id", f"r{pk}")}
    facts = Facts(resource["resourceType"], resource["id"], (WHO,), low=low, high=high)
    return Item(Stored(pk, facts.type, facts.id, 1, NOW, False, facts, body.write(resource)), resource)


def made(*items: Item, supporting: tuple[Item, ...] = ()) -> dict[str, Any]:
    whole = chosen.read(i.found for i in items)
    extract = document.Extract(item(0, patient()), whole, supporting, datetime(1990, 1, 1, tzinfo=UTC))
    finished = document.make(extract, base=BASE, now=NOW, salt=b"salt")
    shown = {i.found.reference: i.found.body or b"" for i in finished.items}
    return body.parse(document.bundle(finished, base=BASE, now=NOW, shown=shown))


def section(bundle: dict[str, Any], code: str) -> dict[str, Any]:
    sections = bundle["entry"][0]["resource"]["section"]
    return next(s for s in sections if s["code"]["coding"][0]["code"] == code)


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("type", [*chosen.TYPES, "Observation"])
def test_whatever_a_resource_says_the_document_is_sound(type: str, depth: int) -> None:
    bundle = made(item(1, sample(type, depth=depth)))
    problems = [p for p in validate.check(bundle) if p.severity in ("error", "fatal")]
    assert not [p for p in problems if not p.expression.startswith("Bundle.entry[2]")], problems
    urls = [e["fullUrl"] for e in bundle["entry"]]
    pointed = [e["reference"] for s in bundle["entry"][0]["resource"]["section"] for e in s.get("entry", ())]
    assert set(pointed) <= set(urls)
    assert len(urls) == len(set(urls))


def test_the_same_extract_gives_the_same_document() -> None:
    items = [item(n, sample(type, depth=2)) for n, type in enumerate(chosen.TYPES, 1)]
    assert made(*items) == made(*items)
    assert made(*items)["id"] != made(*items[1:])["id"]


def test_a_medicine_is_named_by_the_medication_it_refers_to() -> None:
    medication = item(2, {"resourceType": "Medication", "code": {"text": "見本錠"}})
    inside = {"resourceType": "Medication", "id": "m", "code": {"text": "中の薬"}}
    taken = {"resourceType": "MedicationStatement", "status": "active", "subject": {"reference": f"Patient/{WHO}"}}
    outer = item(3, taken | {"medicationReference": {"reference": "Medication/r2"}})
    inner = item(4, taken | {"medicationReference": {"reference": "#m"}, "contained": [inside]})
    gone = item(5, taken | {"medicationReference": {"reference": "Medication/none", "display": "昔の薬"}})
    bundle = made(outer, inner, gone, supporting=(medication,))
    text = section(bundle, "10160-0")["text"]["div"]
    assert all(name in text for name in ("見本錠", "中の薬", "昔の薬"))
    assert f"{BASE}/Medication/r2" in [e["fullUrl"] for e in bundle["entry"]]


def test_a_device_stands_beside_its_use() -> None:
    used = {"resourceType": "DeviceUseStatement", "status": "active", "subject": {"reference": f"Patient/{WHO}"}}
    pump = item(2, {"resourceType": "Device", "deviceName": [{"name": "見本ポンプ", "type": "user-friendly-name"}]})
    bundle = made(item(1, used | {"device": {"reference": "Device/r2"}}), pump)
    assert "見本ポンプ" in section(bundle, "46264-8")["text"]["div"]
    assert f"{BASE}/Device/r2" in [e["fullUrl"] for e in bundle["entry"]]


KINDS = st.sampled_from(["29463-7", "718-7", "85354-9"])


@given(st.lists(st.tuples(KINDS, st.integers(0, 500)), max_size=12))
def test_of_each_kind_the_newest_stands(measured: list[tuple[str, int]]) -> None:
    items = []
    for pk, (code, ago) in enumerate(measured, 1):
        at = NOW - timedelta(days=ago)
        resource = {
            "resourceType": "Observation", "status": "final", "subject": {"reference": f"Patient/{WHO}"},
            "code": {"coding": [{"system": LOINC, "code": code}]}, "effectiveDateTime": at.isoformat(),
        }  # fmt: skip
        items.append(item(pk, resource, low=at, high=at))
    items.sort(key=lambda i: (i.found.facts.low or NOW, i.found.pk), reverse=True)
    entries = section(made(*items), "30954-2").get("entry", [])
    newest = {code: min(ago for c, ago in measured if c == code) for code, _ in measured}
    assert sorted(e["reference"] for e in entries) == sorted(
        f"{BASE}/Observation/{next(i.found.id for i in items if _is(i, code, ago))}" for code, ago in newest.items()
    )


def _is(one: Item, code: str, ago: int) -> bool:
    return one.resource["code"]["coding"][0]["code"] == code and one.found.facts.low == NOW - timedelta(days=ago)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"valueQuantity": {"value": 5, "comparator": "<", "unit": "mg/L"}}, "<5 mg/L"),
        ({"valueQuantity": {"value": "1.50", "code": "kg"}}, "1.50 kg"),
        ({"valueBoolean": False}, "いいえ / no"),
        ({"valueRange": {"low": {"value": 1, "unit": "mL"}, "high": {"value": 2, "unit": "mL"}}}, "1 mL – 2 mL"),
        ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}, "1 : 128"),
        ({"valueInteger": 0}, "0"),
        ({"valueString": "なし"}, "なし"),
        ({"valueDateTime": "2026-08-24"}, "2026-08-24"),
        ({"valuePeriod": {"start": "2026-01-01"}}, "2026-01-01 – "),
        ({"dataAbsentReason": {"text": "測定せず"}}, "値なし / no value: 測定せず"),
        ({}, ""),
    ],
)
def test_values_as_they_are_read(node: dict[str, Any], said: str) -> None:
    if "valueQuantity" in node and isinstance(node["valueQuantity"]["value"], str):
        node = body.parse(msgspec.json.encode(node).replace(b'"1.50"', b"1.50"))
    assert wording.value(node) == said
