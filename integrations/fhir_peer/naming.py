"""What a resource of a peer says that it may not: whom else it names, and what only we say of our own. Pure.

In whatever spelling: a reference that cannot be told from one to somebody else's Patient is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from integrations.fhir_peer.parse import Unusable
from phr.records import systems

# Identifiers by which our own readers and doors know a thing again, and tags by which they know how it came to be.
RESERVED_IDENTIFIERS: Final = f"{systems.OWN}/IdSystem/".lower()
RESERVED_TAGS: Final = f"{systems.OWN}/".lower()

_REFERENCE = frozenset({"reference", "type", "identifier", "display", "id", "extension"})  # of the data type Reference
_ADDRESSES = frozenset({"url", "uri", "fullUrl", "valueUri", "valueUrl", "valueCanonical"})
_PEOPLE = tuple(s.lower() for s in (systems.PATIENT_AT_INSTITUTION, systems.PERSON_AT_MUNICIPALITY, systems.HANDBOOK))
_SEPARATORS = re.compile(r"[/\\?#:|]+")
_ONE = re.compile(r"(?:^|[/\\:])patient(?:[/\\]+[^/\\?#]|\?)")  # an address of a Patient, not only the word
_UUID = re.compile(r"(?:urn:uuid:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # as people are numbered here


def checked(resource: Mapping[str, Any], *, base: str, patient: str) -> dict[str, Any]:
    """The same without reserved tags and identifiers. `base`, `patient`: the peer's, and her id there.

    Raises Unusable: `other-person` where any other Patient is named, or may be.
    """
    version = r"(?:/_history/[A-Za-z0-9\-.]{1,64})?"
    hers = re.compile(rf"(?:{re.escape(base)}/)?Patient/{re.escape(patient)}{version}", re.ASCII)
    found: dict[str, Any] = _checked(dict(resource), hers, inside=False)
    return found


def _checked(node: Any, hers: re.Pattern[str], *, inside: bool) -> Any:
    if isinstance(node, list):
        return [_checked(one, hers, inside=True) for one in node]
    if not isinstance(node, dict):
        return node
    if inside and node.get("resourceType") == "Patient":
        raise Unusable("other-person")
    if node and node.keys() <= _REFERENCE and ("reference" in node or isinstance(node.get("identifier"), dict)):
        node = _reference(node, hers)
    for key in _ADDRESSES & node.keys():
        told = node[key]
        if isinstance(told, str) and not hers.fullmatch(told) and _ONE.search(_plain(told)):
            raise Unusable("other-person")
    kept = {key: _kept(key, value) for key, value in node.items()}
    return {key: _checked(v, hers, inside=True) for key, v in kept.items() if v not in ([], {}) or v == node[key]}


def _reference(node: dict[str, Any], hers: re.Pattern[str]) -> dict[str, Any]:
    """A reference to her says nothing beside it. Raises Unusable."""
    reference, type, named = node.get("reference"), node.get("type"), node.get("identifier")
    if isinstance(reference, str) and hers.fullmatch(reference):
        return {"reference": reference}
    about_people = isinstance(type, str) and "patient" in _SEPARATORS.split(_plain(type))
    if isinstance(reference, str):
        plain = _plain(reference)
        about_people |= "patient" in _SEPARATORS.split(plain) or plain.startswith("urn:")
    if isinstance(named, dict):
        system, value = (_plain(str(named.get(key, ""))) for key in ("system", "value"))
        about_people |= "patient" in _SEPARATORS.split(system) or system.startswith(_PEOPLE)
        about_people |= "patient" in _SEPARATORS.split(value) or (type is None and bool(_UUID.fullmatch(value)))
    if about_people:
        raise Unusable("other-person")
    return node


def _kept(key: str, value: Any) -> Any:
    """Tags and identifiers without the reserved ones; an empty value where nothing is left."""
    if key == "meta" and isinstance(value, dict) and isinstance(value.get("tag"), list):
        tags = [one for one in value["tag"] if not _begins(one, RESERVED_TAGS)]
        return {k: v for k, v in value.items() if k != "tag"} | ({"tag": tags} if tags else {})
    if key == "identifier":
        if isinstance(value, list):
            return [one for one in value if not _begins(one, RESERVED_IDENTIFIERS)]
        return {} if _begins(value, RESERVED_IDENTIFIERS) else value
    return value


def _begins(node: Any, prefix: str) -> bool:
    system = node.get("system") if isinstance(node, dict) else None
    return isinstance(system, str) and _plain(system).startswith(prefix)


def _plain(text: str) -> str:
    """Without what two spellings of one address differ in: case, percent signs (also twice), blanks."""
    return unquote(unquote(text)).strip().lower()
