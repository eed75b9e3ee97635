"""Security labels: of a resource, and of the resources inside it (entries of a Bundle, parts of Parameters). Pure.

They are shown to their writer only (R4 security-labels.html; the trust rules, labels).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def of(resource: Mapping[str, Any]) -> list[Any]:
    """Every label, each once, those of the resource itself first."""
    found: list[Any] = []
    for meta in _metas(resource):
        labels = meta.get("security")
        found += [label for label in (labels if isinstance(labels, list) else ()) if label not in found]
    return found


def removed(resource: dict[str, Any]) -> dict[str, Any]:
    """The same resource, changed in place: without any label."""
    for meta in _metas(resource):
        meta.pop("security", None)
    return resource


def _metas(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """`meta` of the resource, and of whatever is a resource inside it, outermost first."""
    rest: list[Any] = [resource]
    while rest:
        node = rest.pop(0)
        if isinstance(node, Mapping):
            if "resourceType" in node and isinstance(meta := node.get("meta"), dict):
                yield meta
            node = list(node.values())
        rest += [value for value in node if isinstance(value, (dict, list))]
