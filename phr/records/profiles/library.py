"""Compiled profiles by url, each compiled once, and anew when packages change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from phr.records import definitions
from phr.records.profiles import snapshot
from phr.records.profiles.structure import BASE, Profile, Unwalkable, compiled

Find = Callable[[str], dict[str, Any] | None]


class Library:
    """`find(url)` gives a StructureDefinition or None. Pure but for what `find` does."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._compiled: dict[str, Profile | Unwalkable | None] = {}

    def profile(self, url: str) -> Profile | None:
        """The profile of a url (or `url|version`), None where it is not known. Raises Unwalkable."""
        if url not in self._compiled:
            structure = self._find(url)
            if structure is None:
                return None  # not kept: strangers may ask for any number of urls
            try:
                self._compiled[url] = compiled(self._complete(structure))
            except Unwalkable as error:
                self._compiled[url] = error
        found = self._compiled[url]
        if isinstance(found, Unwalkable):
            raise found
        return found

    def _complete(self, structure: Mapping[str, Any]) -> Mapping[str, Any]:
        """The structure with a snapshot, made from its differential where it brings none. Raises Unwalkable."""
        try:
            return {**structure, "snapshot": {"element": snapshot.elements(structure, self._find)}}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
            text = f"定義が R4 の形ではありません。Not a StructureDefinition as R4 has it ({type(error).__name__})."
            raise Unwalkable(f"{structure.get('url')}: {text}") from None

    def is_unknown(self, url: str) -> bool:
        """Whether nothing of this url is loaded."""
        return url not in self._compiled and self._find(url) is None

    def base(self, type: str) -> Profile | None:
        """What R4 itself says of a type; None for backbone elements."""
        return self.profile(BASE + type) if "." not in type else None

    def target_type(self, url: str) -> str | None:
        """The resource type a targetProfile stands for; None where it is not known."""
        name = url.removeprefix(BASE).partition("|")[0]
        if name in definitions.concrete_types() or name == "Resource":
            return name
        try:
            found = self.profile(url)
        except Unwalkable:
            return None
        return found.type if found is not None else None
