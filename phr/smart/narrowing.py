"""A granular scope's `parameter=value` as hashed terms, through the same functions searches use. Pure."""

from __future__ import annotations


def terms_for(type_: str, name: str, value: str, index_key: bytes) -> frozenset[int]:
    """The terms of which a resource must bear one. Raises ValueError, naming what cannot narrow a scope."""
    raise ValueError(f"'{name}' cannot narrow a scope of {type_}")
