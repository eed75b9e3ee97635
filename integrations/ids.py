"""Logical ids that follow from content, so that bringing the same thing in twice meets what is already there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID


def digest(*parts: str) -> str:
    """SHA-256 (hex) of the parts joined with `|` as UTF-8; a `|` or `\\` inside a part is escaped."""
    joined = "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()


def resource_id(type_: str, *parts: str) -> str:
    """A UUID from the digest of type and parts, with the version (8: own scheme) and variant bits of RFC 9562."""
    return str(UUID(hex=_shaped(digest(type_, *parts))))


def _shaped(hexadecimal: str) -> str:
    variant = "89ab"[int(hexadecimal[16], 16) & 3]
    return f"{hexadecimal[:12]}8{hexadecimal[13:16]}{variant}{hexadecimal[17:32]}"


@dataclass(frozen=True, slots=True)
class Renamed:
    """Ids made one writer's own: who else brought in the same thing must not show in what happens to this one.

    `writer`: an organisation, or another word that tells them apart. `names`: `Type/id` as mapped -> as this writer's.
    A family's own imports keep the ids they are mapped to.
    """

    writer: int | str
    names: Mapping[str, str]

    @classmethod
    def by(cls, writer: int | str, resources: Iterable[Mapping[str, Any]]) -> Renamed:
        return cls(
            writer, {f"{r['resourceType']}/{r['id']}": f"{r['resourceType']}/{_own(writer, r)}" for r in resources}
        )

    def __call__(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """The resource under this writer's id, pointing to this writer's others."""
        renamed: dict[str, Any] = self._walk(dict(resource) | {"id": _own(self.writer, resource)})
        return renamed

    def mapped(self, names: Iterable[str]) -> frozenset[str]:
        """The `Type/id`s as mapped, from this writer's."""
        back = {own: name for name, own in self.names.items()}
        return frozenset(back.get(name, name) for name in names)

    def _walk(self, value: Any) -> Any:
        match value:
            case str():
                return self.names.get(value, value)
            case dict():
                return {k: self._walk(v) for k, v in value.items()}
            case list():
                return [self._walk(v) for v in value]
        return value


def _own(writer: int | str, resource: Mapping[str, Any]) -> str:
    return resource_id(resource["resourceType"], "written by", str(writer), resource["id"])
