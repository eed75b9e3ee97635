"""The canonical resources the project brings along: R4's own structures (compact) and its draft profiles. Pure."""

from __future__ import annotations

from typing import Any


def canonical(url: str, version: str | None = None) -> dict[str, Any] | None:
    """A bundled canonical resource by url, or None. `version`: as far as it is told ("4", "4.0", "4.0.1")."""
    return None
