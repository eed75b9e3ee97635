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

FORMATS = f"{JSON_PATCH}, application/fhir+json"


def of_request(request: HttpRequest) -> Change:
    """Raises Problem: 415 for a format that is no patch of ours (RFC 5789 §2.2), else as the formats do."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == JSON_PATCH:
        return _ours(json_patch(body.received_list(wire.received(request))))
    if kind in ("application/fhir+json", "application/json"):
        return _ours(fhirpath_patch(wire.json_body(request)))
    raise Problem(415, "not-supported", f"パッチの形式は {FORMATS} です。Expected one of these.", Accept_Patch=FORMATS)


def of_entry(resource: Mapping[str, Any]) -> Change:
    """A Parameters resource, or a Binary that holds a JSON Patch. Raises Problem (400, 413), Malformed, Invalid."""
    if resource.get("resourceType") == "Parameters":
        return _ours(fhirpath_patch(resource))
    if resource.get("contentType") != JSON_PATCH:
        text = f"Binary の contentType は {JSON_PATCH} です。Expected a JSON Patch."
        raise Problem(400, "value", text, "Binary.contentType")
    try:
        data = b64decode(str(resource.get("data", "")), validate=True)
    except ValueError:
        raise Problem(400, "value", "data は base64 です。data must be base64.", "Binary.data") from None
    return _ours(json_patch(body.received_list(data)))


def _ours(change: Change) -> Change:
    """A patch names nobody in a second way either (see `resolve.relative`)."""
    return lambda resource: relative(change(resource), wire.base())
