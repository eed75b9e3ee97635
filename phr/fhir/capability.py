"""The CapabilityStatement, generated from what is served: types, interactions, parameters, operations.

A test walks it and tries every claim (tests/conformance/test_capability.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import msgspec
from django.conf import settings

from phr.fhir import audit_events, release, wire
from phr.fhir.operations import calling
from phr.records.definitions import compartments, concrete_types
from phr.records.profiles import bundled
from phr.records.search.params import SearchParam, params_for
from phr.records.search.parse import searchable

ENDPOINTS = ("authorize", "token", "revoke", "introspect")
INTERACTIONS = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
)  # fmt: skip
SYSTEM_INTERACTIONS = ("transaction", "batch", "search-system", "history-system")
# What every search understands besides the parameters of its type (R4 search.html §3.1.1.4 and §3.1.1.5).
CONTROLS = {
    "_filter": "special", "_has": "special", "_list": "special", "_type": "special", "_sort": "special",
    "_count": "number", "_total": "token", "_summary": "token", "_elements": "special", "_include": "special",
    "_revinclude": "special", "_contained": "token",
}  # fmt: skip
BULK = "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"


@lru_cache(maxsize=1)
def statement() -> bytes:
    """R4 capabilitystatement.html; the same bytes for everyone, since it says nothing of any record."""
    return msgspec.json.encode(
        {
            "resourceType": "CapabilityStatement",
            "url": f"{wire.base()}/metadata",
            "version": release.VERSION,
            "name": "Tsumugi",
            "title": "紡 Tsumugi",
            "status": "active",
            "date": release.DATE,
            "publisher": "Tsumugi",
            "description": "母子の健康記録の FHIR R4 サーバー。A FHIR R4 server for records of mothers and children.",
            "kind": "instance",
            **({"instantiates": [BULK]} if any(o.name == "export" for o in calling.offered()) else {}),
            "software": {"name": "紡 Tsumugi", "version": release.VERSION, "releaseDate": release.DATE},
            "implementation": {"description": "母子の健康記録 Personal health record", "url": wire.base()},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json", "json"],
            "patchFormat": ["application/json-patch+json", "application/fhir+json"],
            "rest": [_rest()],
        }
    )


def _rest() -> dict[str, Any]:
    return {
        "mode": "server",
        "documentation": "同意の範囲にあるものだけが見え、見えないものは無いものと同じに答えます。"
        "Only what consent opens is seen; what is hidden is answered as what is not there.",
        "security": _security(f"{settings.PHR_BASE_URL}/oauth"),
        "resource": [_resource(name) for name in sorted(concrete_types())],
        "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
        "searchParam": [{"name": name, "type": kind} for name, kind in CONTROLS.items()],
        "operation": _operations(calling.offered()),
        "compartment": [_compartment(owner) for owner in sorted(compartments())],
    }


def _compartment(owner: str) -> str:
    return f"http://hl7.org/fhir/CompartmentDefinition/{owner[0].lower()}{owner[1:]}"


def _security(oauth: str) -> dict[str, Any]:
    smart = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
    service = {"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}
    endpoints = [{"url": name, "valueUri": f"{oauth}/{name}"} for name in ENDPOINTS]
    return {"cors": True, "service": [{"coding": [service]}], "extension": [{"url": smart, "extension": endpoints}]}


# Two types that do, or look as if they did, more than others: say what.
_KEPT_ONLY = {
    "Consent": "Counts at once where the person or a guardian writes it: active gives, a new content supersedes, "
    "inactive, rejected, entered-in-error and DELETE withdraw. From anybody else, or with what cannot be enforced "
    "(provision.code, data.meaning other than instance), it is stored as proposed and does nothing. "
    "Scopes treatment and adr are kept as documents. "
    "本人か保護者が書いた同意はその場で効力を持ちます。active で同意、内容の変更で置き換え、inactive・rejected・"
    "entered-in-error と DELETE で撤回です。ほかの人が送った同意は proposed として"
    "保存し、本人が答えるまで効力はありません。",
}


# Hidden ids must look like absent ones, so nobody may try out any id (records/decisions/ids-of-the-clients-own.md).
_IDS = {
    True: "A client may give ids (PUT) below a beginning of its own; the refusal of any other new id names it. "
    "クライアントが付けられる id は、各自に決められた文字列で始まるものだけです。",
    False: "Ids are given by the server, and nothing is deleted here: to erase a record is a procedure of its own. "
    "id はサーバーが付けます。削除はできません。記録の消去には別の手続きがあります。",
}


def _resource(type: str) -> dict[str, Any]:
    if type == audit_events.TYPE:
        return _log()
    named = type != "Patient"
    profiles = sorted(url for url, of in _profiles() if of == type)
    told: dict[str, Any] = {
        "type": type,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{type}",
        "supportedProfile": profiles,
        "documentation": f"{_KEPT_ONLY[type]}\n{_IDS[named]}" if type in _KEPT_ONLY else _IDS[named],
        "interaction": [{"code": code} for code in INTERACTIONS if named or code != "delete"],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": named,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single" if named else "not-supported",
        "searchInclude": ["*", f"{type}:*", *(f"{type}:{p.name}" for p in _references(type))],
        "searchRevInclude": list(_pointing_at(type)),
        "searchParam": [{"name": p.name, "type": p.type} for p in params_for(type).values() if searchable(p)],
        "operation": _operations([*calling.offered(type), *calling.offered(calling.ANY)]),
    }
    return {name: value for name, value in told.items() if value != []}


def _log() -> dict[str, Any]:
    """AuditEvents are made from the log: they are read and searched, and that is all."""
    type = audit_events.TYPE
    answered = (*audit_events.PARAMS, *audit_events.EVERYWHERE)
    return {
        "type": type,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{type}",
        "documentation": "Made from the server's own log for whoever reads; staff get what their organisation did. "
        "サーバーのアクセス記録から作られ、書き込めません。",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "readHistory": False,
        "updateCreate": False,
        "conditionalCreate": False,
        "conditionalRead": "not-supported",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": [{"name": p.name, "type": p.type} for p in params_for(type).values() if p.name in answered],
    }


@cache
def _profiles() -> tuple[tuple[str, str], ...]:
    """(url, type) of the project's own draft profiles of resources."""
    own = bundled.own().values()
    return tuple(
        (p["url"], p["type"]) for p in own if p["resourceType"] == "StructureDefinition" and p["kind"] == "resource"
    )


def _operations(offered: Iterable[calling.Operation]) -> list[dict[str, Any]]:
    return [{"name": o.name, "definition": o.definition} for o in offered]


def _references(type: str) -> list[SearchParam]:
    return [p for p in params_for(type).values() if p.type == "reference" and "Reference" in p.types and searchable(p)]


def _pointing_at(type: str) -> Iterable[str]:
    for source in sorted(concrete_types()):
        for param in _references(source):
            if not param.targets or type in param.targets:
                yield f"{source}:{param.name}"
