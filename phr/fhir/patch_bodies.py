"""Where a patch comes from: the body of a PATCH, or the resource of an entry (R4 http.html §3.1.0.6)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from phr.fhir import wire
from phr.fhir.fhirpath_patch import fhirpath_patch
from phr.fhir.outcome import Problem
from phr.fhir.patching import JSON_PATCH, Change, json_patch
from phr.fhir.resolve import relative
from phr.records import body
from phr.records.admission import measure

_UNSAID = frozenset({"text", "meta", "language", "implicitRules"})
FORMATS = f"{JSON_PATCH}, application/fhir+json"


def of_request(request: HttpRequest) -> Change:
    """Raises Problem: 415 for a format that is no patch of ours (RFC 5789 §2.2), else as the formats do."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == JSON_PATCH:
        return _ours(json_patch(body.received_list(wire.received(request))))
    if kind in ("application/fhir+json", "application/json"):
        return _parameters(wire.json_body(request))
    raise Problem(415, "not-supported", f"パッチの形式は {FORMATS} です。Expected one of these.", Accept_Patch=FORMATS)


def of_entry(resource: dict[str, Any]) -> Change:
    """A Parameters resource, or a Binary that holds a JSON Patch. Raises Problem (400, 413), Malformed, Invalid."""
    if resource.get("resourceType") == "Parameters":
        return _parameters(resource)
    if resource.get("contentType") != JSON_PATCH:
        text = f"Binary の contentType は {JSON_PATCH} です。Expected a JSON Patch."
        raise Problem(400, "value", text, "Binary.contentType")
    try:
        data = b64decode(str(resource.get("data", "")), validate=True)
    except ValueError:
        raise Problem(400, "value", "data は base64 です。data must be base64.", "Binary.data") from None
    return _ours(json_patch(body.received_list(data)))


def _parameters(resource: dict[str, Any]) -> Change:
    measure(resource)  # it is checked as any resource is, and that takes as long
    return _ours(fhirpath_patch(resource))


def _ours(change: Change) -> Change:
    """With what the server owes every patch: one name for everybody (`resolve.relative`), and a narrative that fits."""

    def changed(resource: dict[str, Any]) -> dict[str, Any]:
        text, said = body.canonical({"": resource.get("text")}), _said(resource)
        after = relative(change(resource), wire.base())
        if "text" in after and body.canonical({"": after["text"]}) == text and _said(after) != said:
            _narrative(after)
        return after

    return changed


def _said(resource: Mapping[str, Any]) -> bytes:
    """What a narrative may speak of."""
    return body.canonical({key: value for key, value in resource.items() if key not in _UNSAID})


def _narrative(resource: dict[str, Any]) -> None:
    """After a patch the narrative must not be clinically unsafe (§3.1.0.6).

    One that was made from the data can be made again, so it goes. Raises Problem (422) for one that says more:
    whoever changes the data must look at it, and patch `text` too.
    """
    status = resource["text"].get("status") if isinstance(resource["text"], dict) else None
    if status in ("generated", "extensions"):
        del resource["text"]
    elif status == "additional":
        told = "叙述 (text) も直してください。The narrative says more than the data: patch or remove text as well."
        raise Problem(422, "business-rule", told, f"{resource.get('resourceType')}.text")
