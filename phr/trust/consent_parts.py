"""What a Consent that comes in refers to: registered organisations, and the terms beside the tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from consent.fhir_consent import INSTITUTION, ORGANIZATION, OWN, Directory
from consent.models import Organization
from consent.receipts import Terms
from phr.records import body
from phr.records.gateway import NotFound, Records

TERMS = f"{OWN}/StructureDefinition/consent-terms"  # extension of a Consent: what IT-02 asks for beside the tree
MOST = 100  # references that are looked up
LONGEST = 2000  # characters of one term
_TEXTS = {"benefit": "benefit", "useClass": "use_class", "withdrawal": "withdrawal", "contact": "contact",
          "program": "program"}  # fmt: skip
_FLAGS = {"profiling": "profiling", "onward": "onward"}


def directory(consent: Mapping[str, Any], records: Records) -> Directory:
    """The registered organisations that a Consent names: by their code, or by an Organization they wrote themselves.

    An Organization that somebody else wrote says nothing about who it is.
    """
    codes, references = set(), []
    for node in _nodes(consent.get("provision")):
        if node.get("system") in (ORGANIZATION, INSTITUTION) and isinstance(node.get("value"), str):
            codes.add(node["value"])
        reference = node.get("reference")
        if isinstance(reference, str) and reference.startswith("Organization/"):
            references.append(reference)
    known = dict(Organization.objects.filter(code__in=codes).values_list("code", "pk"))
    found = {reference: pk for reference in references[:MOST] if (pk := _written_by_itself(reference, records))}
    return Directory(codes=known, references=found)


def _written_by_itself(reference: str, records: Records) -> int | None:
    try:
        found = records._current("Organization", reference.partition("/")[2], letter="r")  # noqa: SLF001
    except NotFound:
        return None
    if found.body is None or found.facts.author is None:
        return None
    identifiers = body.parse(found.body).get("identifier", [])
    named = {i.get("value") for i in identifiers if i.get("system") in (INSTITUTION, ORGANIZATION)}
    own = Organization.objects.filter(pk=found.facts.author, code__in=named)
    return found.facts.author if own.exists() else None


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    rest = [value]
    while rest:
        node = rest.pop()
        if isinstance(node, Mapping):
            yield node
            rest += list(node.values())
        elif isinstance(node, list):
            rest += node


def terms(consent: Mapping[str, Any]) -> Terms:
    """The terms a Consent carries in its extension; what is of another shape is not said."""
    said: dict[str, Any] = {}
    for extended in consent.get("extension", []):
        if extended.get("url") != TERMS:
            continue
        for part in extended.get("extension", []):
            name = part.get("url")
            if name in _TEXTS and isinstance(part.get("valueString"), str):
                said[_TEXTS[name]] = part["valueString"][:LONGEST]
            elif name in _FLAGS and isinstance(part.get("valueBoolean"), bool):
                said[_FLAGS[name]] = part["valueBoolean"]
    language = consent.get("language")
    return Terms(**said, locale="en" if isinstance(language, str) and language.startswith("en") else "ja")


def extension(said: Terms) -> list[dict[str, Any]]:
    """The extension that says these terms; none where nothing is said."""
    parts: list[dict[str, Any]] = []
    for url, name in _TEXTS.items():
        if value := getattr(said, name):
            parts.append({"url": url, "valueString": value})
    for url, name in _FLAGS.items():
        if (flag := getattr(said, name)) is not None:
            parts.append({"url": url, "valueBoolean": flag})
    return [{"url": TERMS, "extension": parts}] if parts else []
