"""User-access brands: under which name people find this server in an app's list. One brand, one endpoint.

Source: SMART App Launch 2.2, section 4 (User-access Brands and Endpoints).
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings

ENDPOINT_TYPE = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
PAYLOAD = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"
BRAND = "http://hl7.org/fhir/StructureDefinition/organization-brand"
PORTAL = "http://hl7.org/fhir/StructureDefinition/organization-portal"
FHIR_VERSION = "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version"
URI = "urn:ietf:rfc:3986"


def identifier() -> dict[str, str]:
    """The primary brand of this server, within the bundle."""
    return {"system": URI, "value": settings.PHR_BASE_URL}


def bundle() -> dict[str, Any]:
    """The Bundle of our brand: an Organization whose endpoint is this server, and that Endpoint."""
    brand, endpoint = (str(uuid5(NAMESPACE_URL, f"{settings.PHR_BASE_URL}/{kind}")) for kind in ("brand", "endpoint"))
    return {
        "resourceType": "Bundle",
        "id": str(uuid5(NAMESPACE_URL, f"{settings.PHR_BASE_URL}/brands")),
        "type": "collection",
        "timestamp": settings.PHR_BRAND_CHANGED,
        "entry": [
            {"fullUrl": f"urn:uuid:{brand}", "resource": _organization(brand, endpoint)},
            {"fullUrl": f"urn:uuid:{endpoint}", "resource": _endpoint(endpoint)},
        ],
    }


def _organization(id: str, endpoint: str) -> dict[str, Any]:
    base = settings.PHR_BASE_URL
    return {
        "resourceType": "Organization",
        "id": id,
        "extension": [
            {"url": BRAND, "extension": [{"url": "brandBundle", "valueUrl": f"{base}/brands"}]},
            {"url": PORTAL, "extension": [
                {"url": "portalName", "valueString": settings.PHR_BRAND_NAME},
                {"url": "portalUrl", "valueUrl": f"{base}/"},
                {"url": "portalEndpoint", "valueReference": {"reference": f"urn:uuid:{endpoint}"}},
            ]},
        ],
        "identifier": [identifier()],
        "active": True,
        "name": settings.PHR_BRAND_NAME,
        "telecom": [{"system": "url", "value": f"{base}/"}],
        "endpoint": [{"reference": f"urn:uuid:{endpoint}"}],
    }  # fmt: skip


def _endpoint(id: str) -> dict[str, Any]:
    return {
        "resourceType": "Endpoint",
        "id": id,
        "extension": [{"url": FHIR_VERSION, "valueCode": "4.0.1"}],
        "status": "active",
        "connectionType": {"system": ENDPOINT_TYPE, "code": "hl7-fhir-rest"},
        "name": settings.PHR_BRAND_NAME,
        "contact": [{"system": "url", "value": f"{settings.PHR_BASE_URL}/"}],
        "payloadType": [{"coding": [{"system": PAYLOAD, "code": "none"}]}],
        "address": f"{settings.PHR_BASE_URL}/fhir",
    }
