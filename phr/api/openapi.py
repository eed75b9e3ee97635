"""What the OpenAPI document is about."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from phr.api.summaries import SUMMARIES


def only_the_trust(endpoints: list[tuple[Any, ...]], **_: Any) -> list[tuple[Any, ...]]:
    """The paths of this API; others have descriptions of their own (FHIR CapabilityStatement, discovery)."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/trust/")]


def summarised(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Every operation with its line in both languages."""
    for methods in result["paths"].values():
        for told in methods.values():
            if isinstance(told, dict) and told.get("operationId") in SUMMARIES:
                told["summary"] = " / ".join(SUMMARIES[told["operationId"]])
    return result


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A bearer token of ours (RFC 6750), with the scopes trust.read and trust.write."""

    target_class = "phr.api.frame.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "trust.read, trust.write"}
