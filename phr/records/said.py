"""What a resource says in words: its narrative, and every text in it. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

_MARKUP = re.compile(r"<[^<>]*>")
_BREAK = re.compile(r"<(?:/?(?:p|div|li|ul|ol|tr|td|th|table|h[1-6]|dd|dt|dl|pre|blockquote)|br|hr)\b[^<>]*>")
# Labels must not be found out by searching; bytes of attachments say nothing; times and versions are not text.
_SILENT = frozenset({"meta", "data", "resourceType"})


def narrative(resource: Mapping[str, Any]) -> str:
    """The narrative without its markup; empty where there is none."""
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    return _plain(div) if isinstance(div, str) else ""


def everything(resource: Mapping[str, Any]) -> Iterator[str]:
    """Every text in a resource; its narrative without markup."""
    rest: list[Any] = [value for key, value in resource.items() if key not in _SILENT]
    while rest:
        node = rest.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, list):
            rest += node
        elif isinstance(node, dict):
            for key, value in node.items():
                if key == "div" and isinstance(value, str):
                    yield _plain(value)
                elif key not in _SILENT:
                    rest.append(value)


def _plain(div: str) -> str:
    return html.unescape(_MARKUP.sub("", _BREAK.sub(" ", div)))
