"""What the OpenAPI document is about."""

from __future__ import annotations

from typing import Any


def only_the_trust(endpoints: list[tuple[Any, ...]], **_: Any) -> list[tuple[Any, ...]]:
    """The paths of this API; others have descriptions of their own (FHIR CapabilityStatement, discovery)."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/trust/")]
