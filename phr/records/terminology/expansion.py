"""An expansion as FHIR: the ValueSet with what it holds, page by page (R4 valueset.html 4.9.7, $expand). Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from phr.records.search.normal import normal
from phr.records.terminology.compose import Entry, Members
from phr.records.terminology.errors import TooLarge
from phr.records.terminology.sources import Resource

MOST_LISTED = 5_000  # codes in one answer
UNCLOSED = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
_NAMESPACE = uuid.UUID("0b3ad9a5-3f55-4a39-9b73-6b0f7f0d6c1e")
_HEAD = ("id", "url", "version", "name", "title", "status", "experimental", "date", "publisher", "copyright")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an answer should hold. `designations`: whether, and `tokens` which (`language` or `system|code` of use)."""

    filter: str = ""
    offset: int = 0
    count: int | None = None
    designations: bool = False
    tokens: Sequence[str] = ()
    definition: bool = False
    choosable_only: bool = False
    language: str = ""
    echo: Sequence[tuple[str, Any]] = ()


def expansion(valueset: Resource, members: Members, wanted: Wanted, *, now: datetime) -> dict[str, Any]:
    """The ValueSet with its expansion. Raises TooLarge where neither `count` nor `filter` makes it small enough."""
    found = [e for e in members.entries.values() if _is_wanted(e, wanted)]
    count = len(found) if wanted.count is None else wanted.count
    page = found[wanted.offset : wanted.offset + count]
    if len(page) > MOST_LISTED:
        text = f"一度に返せる符号は {MOST_LISTED} までです。filter か count を使ってください。"
        raise TooLarge(f"{text} At most {MOST_LISTED} codes in one answer: use filter, or offset and count.")
    told: dict[str, Any] = {"resourceType": "ValueSet", "status": "active"}
    told |= {name: valueset[name] for name in _HEAD if name in valueset}
    if wanted.definition and "compose" in valueset:
        told["compose"] = valueset["compose"]
    inner: dict[str, Any] = {"extension": [{"url": UNCLOSED, "valueBoolean": True}]} if members.unclosed else {}
    inner |= {
        "identifier": f"urn:uuid:{_identity(valueset, members, wanted)}",
        "timestamp": now.isoformat(timespec="seconds"),
        "total": len(found),
        "offset": wanted.offset,
    }
    parameters = [_parameter(name, value) for name, value in wanted.echo]
    parameters += [{"name": "version", "valueUri": used} for used in sorted(members.systems)]
    inner |= {"parameter": parameters} if parameters else {}
    inner |= {"contains": [_row(entry, wanted) for entry in page]} if page else {}
    return told | {"expansion": inner}


def display_in(language: str, display: str | None, designations: Iterable[Any]) -> str | None:
    """The display in a language (BCP 47; `ja` takes `ja-JP` too), else the display itself."""
    wanted = language.lower()
    for row in designations if wanted else ():
        told = str(row.get("language", "")).lower()
        if told and (told == wanted or told.startswith(wanted + "-") or wanted.startswith(told + "-")):
            return str(row.get("value", "")) or display
    return display


def _is_wanted(entry: Entry, wanted: Wanted) -> bool:
    if wanted.choosable_only and entry.abstract:
        return False
    words = normal(wanted.filter).split()
    if not words:
        return True
    told = [entry.code, entry.display or "", *(str(d.get("value", "")) for d in entry.designations)]
    texts = [normal(text) for text in told]
    return all(any(word in text for text in texts) for word in words)


def _row(entry: Entry, wanted: Wanted) -> dict[str, Any]:
    row: dict[str, Any] = {"system": entry.system}
    row |= {"abstract": True} if entry.abstract else {}
    row |= {"inactive": True} if entry.inactive else {}
    row |= {"version": entry.version} if entry.version else {}
    row["code"] = entry.code
    display = display_in(wanted.language, entry.display, entry.designations)
    row |= {"display": display} if display else {}
    if wanted.designations or wanted.tokens:
        kept = [d for d in entry.designations if not wanted.tokens or _is_asked(d, wanted.tokens)]
        row |= {"designation": kept} if kept else {}
    return row


def _is_asked(designation: Any, tokens: Sequence[str]) -> bool:
    """`designation` tokens: `system|code` of a use, or `urn:ietf:bcp:47|language`, or a language."""
    use = designation.get("use", {})
    language = str(designation.get("language", ""))
    names = {language, f"urn:ietf:bcp:47|{language}", f"{use.get('system', '')}|{use.get('code', '')}"}
    return not names.isdisjoint(tokens)


def _identity(valueset: Resource, members: Members, wanted: Wanted) -> uuid.UUID:
    """The same for every page of one expansion."""
    told = [str(valueset.get("url")), str(valueset.get("version")), *sorted(members.systems)]
    told += [f"{name}={value}" for name, value in wanted.echo if name not in ("offset", "count")]
    return uuid.uuid5(_NAMESPACE, "\n".join([*told, str(len(members.entries))]))


def _parameter(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"name": name, "valueBoolean": value}
    if isinstance(value, int):
        return {"name": name, "valueInteger": value}
    kind = "valueUri" if ":" in value and name != "filter" else "valueString"
    return {"name": name, kind: value}
