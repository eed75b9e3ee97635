"""Resources as lines of NDJSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from phr.fhir import wire
from phr.fhir.shape import SUBSETTED
from phr.records import body, definitions
from phr.records.store import Stored

ALWAYS = frozenset({"resourceType", "id", "meta"})


def line(found: Stored, *, labels: bool, elements: frozenset[str] | None) -> bytes:
    """A resource as it leaves. `labels`: security labels may stay, because they are the caller's own."""
    text = wire.shown(found, labels=labels)
    if elements is None:
        return text
    return body.write(subset(body.parse(text), elements))


def subset(resource: dict[str, Any], elements: frozenset[str]) -> dict[str, Any]:
    """The named elements, the mandatory ones, and the mark that it is not the whole (IG export, `_elements`)."""
    wanted = elements | ALWAYS | mandatory(resource["resourceType"])
    kept = {key: value for key, value in resource.items() if _element(key, resource["resourceType"]) in wanted}
    meta = kept.get("meta", {})
    return {**kept, "meta": {**meta, "tag": [*meta.get("tag", []), SUBSETTED]}}


def roots(type: str) -> frozenset[str]:
    """The root elements of a type, as FHIRPath names them."""
    return frozenset({"id", "meta", *(name.removesuffix("[x]") for name in definitions.fields(type))})


def mandatory(type: str) -> frozenset[str]:
    return frozenset(name.removesuffix("[x]") for name, field in definitions.fields(type).items() if field.min)


def _element(key: str, type: str) -> str:
    """The element a JSON key belongs to: `_status` to status, `valueQuantity` to value."""
    key = key.removeprefix("_")
    if key in definitions.fields(type):
        return key
    choices = [name[:-3] for name in definitions.fields(type) if name.endswith("[x]")]
    return next((n for n in choices if key.startswith(n) and key[len(n) :][:1].isupper()), key)


def deletion(found: Stored) -> bytes:
    """A deleted resource as a transaction of its own (IG export, manifest `deleted`)."""
    request = {"method": "DELETE", "url": found.reference}
    return msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": [{"request": request}]})


def outcomes(ignored: Iterable[tuple[str, str]]) -> list[bytes]:
    """One OperationOutcome for each parameter that was ignored (IG export, manifest `error`)."""
    return [
        msgspec.json.encode({
            "resourceType": "OperationOutcome",
            "issue": [{
                "severity": "warning", "code": "not-supported", "expression": [f"http.{name}"],
                "diagnostics": f"{name}: 無視しました。This parameter was ignored. {why}".strip(),
            }],
        })
        for name, why in ignored
    ]  # fmt: skip
