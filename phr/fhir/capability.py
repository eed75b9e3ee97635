"""The CapabilityStatement, generated from what is served: types, interactions, search parameters."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from django.conf import settings

from phr.fhir import wire
from phr.records.definitions import concrete_types
from phr.records.search.params import params_for
from phr.records.search.parse import searchable

SOFTWARE_VERSION = "0.1.0"
ENDPOINTS = ("authorize", "token", "revoke", "introspect")
INTERACTIONS = ("read", "vread", "update", "delete", "history-instance", "create", "search-type")


@lru_cache(maxsize=1)
def statement() -> bytes:
    """R4 capabilitystatement.html; the same bytes for everyone, since it says nothing of any record."""
    oauth = f"{settings.PHR_BASE_URL}/oauth"
    return msgspec.json.encode(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": "2026-11-20",
            "publisher": "Tsumugi",
            "kind": "instance",
            "software": {"name": "紡 Tsumugi", "version": SOFTWARE_VERSION},
            "implementation": {"description": "母子の健康記録 Personal health record", "url": wire.base()},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json", "json"],
            "rest": [
                {
                    "mode": "server",
                    "security": _security(oauth),
                    "resource": [_resource(name) for name in sorted(concrete_types())],
                    "interaction": [{"code": "transaction"}, {"code": "batch"}],
                }
            ],
        }
    )


def _security(oauth: str) -> dict[str, Any]:
    smart = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
    return {
        "cors": True,
        "service": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                        "code": "SMART-on-FHIR",
                    }
                ]
            }
        ],
        "extension": [
            {
                "url": smart,
                "extension": [{"url": name, "valueUri": f"{oauth}/{name}"} for name in ENDPOINTS],
            }
        ],
    }


# Two types that look as if they did something: say what they do not do.
_KEPT_ONLY = {
    "Consent": "Kept as a document. It neither permits nor denies anything here: grants are given by the person. "
    "文書として保存します。開示の許可・拒否は本人の操作だけで決まります。",
    "AuditEvent": "Kept as a document. The server's own log is append-only and stands elsewhere. "
    "文書として保存します。サーバー自身のアクセス記録は別にあり、書き換えられません。",
}


def _resource(type: str) -> dict[str, Any]:
    note = {"documentation": _KEPT_ONLY[type]} if type in _KEPT_ONLY else {}
    return {
        "type": type,
        **note,
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": False,
        "conditionalCreate": True,
        "conditionalRead": "not-match",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": [{"name": p.name, "type": p.type} for p in params_for(type).values() if searchable(p)],
    }
