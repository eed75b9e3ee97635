"""A granular scope's `parameter=value` as hashed terms: those a search for the same would ask for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from phr.records.definitions import concrete_types
from phr.records.search import terms
from phr.records.search.normal import normal_contact, normal_identifier
from phr.records.search.params import COLUMNS, SearchParam, params_for

_UNESCAPED_COMMA = re.compile(r"(?<!\\),")
_UNESCAPED_BAR = re.compile(r"(?<!\\)\|")
_ESCAPE = re.compile(r"\\([\\,|$])")


def is_type(name: str) -> bool:
    """Whether it is a concrete R4 resource type."""
    return name in concrete_types()


def terms_for(type_name: str, name: str, value: str, index_key: bytes) -> frozenset[int]:
    """The terms of which a resource must bear one; commas mean or (R4 3.1.1.4.7).

    Raises ValueError for what is not an indexed token or reference parameter of the type, or has a modifier.
    """
    param = params_for(type_name).get(name)
    if param is None or not param.indexed or name in COLUMNS or param.type not in ("token", "reference"):
        raise ValueError(f"'{ascii(name)[1:-1]}' is not a token or reference search parameter of {type_name}")
    return frozenset(term for choice in _UNESCAPED_COMMA.split(value) for term in _choice(param, choice, index_key))


def _choice(param: SearchParam, text: str, key: bytes) -> Iterator[int]:
    if not text:
        raise ValueError(f"an empty value of '{param.name}'")
    for kept in param.kept:
        if param.type == "reference":
            yield terms.reference_term(param.base, kept.name, _reference(param, _plain(text)), key)
        else:
            yield terms.token_term(param.base, kept.name, *_token(param, text), key)


def _token(param: SearchParam, text: str) -> tuple[str | None, str | None]:
    """`system|code`, `|code`, `system|` or `code` -> (system or None for any, code or None for any)."""
    parts = [_plain(part) for part in _UNESCAPED_BAR.split(text)]
    if len(parts) > 2 or not any(parts):
        raise ValueError(f"'{param.name}' needs system|code")
    system, code = parts if len(parts) == 2 else (None, parts[0])
    if param.bare:
        return None, code
    if "Identifier" in param.types:
        code = normal_identifier(code)
    if "ContactPoint" in param.types:
        code = normal_contact(code)
    return system, code or None


def _reference(param: SearchParam, text: str) -> str:
    if terms.literal(text) or text.startswith("urn:"):
        return text
    if len(param.targets) == 1:
        return f"{param.targets[0]}/{text}"
    raise ValueError(f"'{param.name}' needs Type/id")


def _plain(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)
