"""An International Patient Summary as a FHIR document: one Bundle that can be understood by itself. Pure.

Source: IPS 1.1 (Bundle-uv-ips, Composition-uv-ips), FHIR R4 documents.html §3.3.1, bundle.html §2.36.4 (references).
Resources go in as they are stored; every reference of the Composition is a fullUrl of an entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from uuid import UUID

import msgspec

from phr.fhir.ips import chosen, pregnancy
from phr.fhir.ips.chosen import Item
from phr.fhir.ips.sections import SECTIONS, Section, div, section
from phr.fhir.ips.wording import JAPAN, both, displayed, moment, names, sex
from phr.records import body
from phr.records.systems import LOINC

PROFILES = "http://hl7.org/fhir/uv/ips/StructureDefinition/"
COMMENT = (
    "この要約は、作成を求めた人が見ることのできる記録から自動で作られました。すべての医療情報を含むとは限りません。",
    "This summary was made automatically from the records its requester may see. It may not hold all there is.",
)


@dataclass(frozen=True, slots=True)
class Extract:
    """What a summary is made of. `supporting`: what belongs to nobody (Organization, Medication …).

    `cut`: sentences about what did not fit. `birth`: of the patient.
    """

    patient: Item
    items: Sequence[Item]
    supporting: Sequence[Item]
    birth: datetime | None
    cut: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """The finished document: `composition` and `author` are new, `items` are stored resources, in order."""

    id: UUID
    composition: dict[str, Any]
    author: dict[str, Any]
    items: tuple[Item, ...]


def make(extract: Extract, *, base: str, now: datetime, salt: bytes) -> Document:
    """The same extract at the same moment gives the same document. `salt`: keeps its name from being guessed."""
    by_section = chosen.sections(list(extract.items), now=now, birth=extract.birth)
    reading = _Reading([*extract.items, *extract.supporting])
    used = [item for name in SECTIONS for item in by_section[name]]
    devices = [d for item in used if (d := reading.item(item.resource, item.resource.get("device")))]
    items = tuple(_once([extract.patient, *used, *devices, *_needed([*used, *devices], extract.supporting)]))
    name = _name(items, now, salt, b"document")
    author_id = _name((), now, salt, b"author of " + name.bytes)
    author = {"resourceType": "Device", "id": str(author_id), "status": "active",
              "deviceName": [{"name": "紡 Tsumugi", "type": "user-friendly-name"}]}  # fmt: skip
    told = [
        _section(SECTIONS[kind], by_section[kind], reading, base, notes)
        for kind, notes in _sections(extract, by_section, now)
    ]
    patient = extract.patient.resource
    composition = {
        "resourceType": "Composition",
        "id": str(name),
        "meta": {"profile": [f"{PROFILES}Composition-uv-ips"]},
        "language": "ja",
        "text": {"status": "generated", "div": _head(patient, now)},
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{name}"},
        "status": "final",
        "type": {"coding": [{"system": LOINC, "code": "60591-5", "display": "Patient summary Document"}]},
        "subject": {"reference": f"{base}/Patient/{patient['id']}"},
        "date": _instant(now),
        "author": [{"reference": f"urn:uuid:{author_id}"}],
        "title": both("患者サマリー", "International Patient Summary"),
        "section": told,
    }
    return Document(name, composition, author, items)


def bundle(document: Document, *, base: str, now: datetime, shown: Mapping[str, bytes]) -> bytes:
    """The document as JSON. `shown`: the text of each stored resource as it may leave, by reference."""
    head = {
        "resourceType": "Bundle",
        "id": str(document.id),
        "meta": {"profile": [f"{PROFILES}Bundle-uv-ips"]},
        "language": "ja",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{document.id}"},
        "type": "document",
        "timestamp": _instant(now),
    }
    made = [(f"urn:uuid:{r['id']}", body.write(r)) for r in (document.composition, document.author)]
    stored = [(f"{base}/{i.found.reference}", shown[i.found.reference]) for i in document.items]
    entries = [
        b'{"fullUrl":%s,"resource":%s}' % (msgspec.json.encode(url), text)
        for url, text in [made[0], *stored, made[1]]  # the Composition first (bdl-11)
    ]
    return msgspec.json.encode(head)[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def _sections(
    extract: Extract, by_section: Mapping[str, list[Item]], now: datetime
) -> list[tuple[str, tuple[str, ...]]]:
    """The sections that are there, each with its notes."""
    woman = extract.patient.resource.get("gender") == "female" and (
        extract.birth is None or now - extract.birth > pregnancy.YOUNGEST
    )
    out = []
    for name, kind in SECTIONS.items():
        if by_section[name] or kind.always or (name == "pregnancy" and woman):
            notes = (*_now(name, by_section[name], now), *_before(name, extract.items, by_section[name]), *extract.cut)
            out.append((name, notes))
    return out


def _now(name: str, items: Sequence[Item], now: datetime) -> tuple[str, ...]:
    """Whether she is pregnant, as far as the entries say."""
    if name != "pregnancy" or not items:
        return ()
    return (f"{both('現在', 'Now')}: {pregnancy.now_pregnant(items, now=now)}",)


def _before(name: str, items: Sequence[Item], shown: Sequence[Item]) -> tuple[str, ...]:
    """That there are medicines of longer ago, where the summary leaves them out: "nothing" would mislead."""
    if name != "medications":
        return ()
    lows = [i.found.facts.low for i in items if i.type in chosen.MEDICINES and i not in shown]
    last = max(filter(None, lows), default=None)
    if last is None:
        return ()
    day = last.astimezone(JAPAN).date()
    return (both(f"180日より前の記録があります (最後は {day})", f"there are records of longer ago, the last of {day}"),)


def _section(
    kind: Section, items: Sequence[Item], reading: _Reading, base: str, notes: Sequence[str]
) -> dict[str, Any]:
    lines = [kind.row(item.resource, reading) for item in items]
    if kind is SECTIONS["pregnancy"]:
        remarks = [pregnancy.overtaken(item, items) for item in items]
        lines = [[*line[:-1], f"{line[-1]} ({r})"] if r else line for line, r in zip(lines, remarks, strict=True)]
    return section(kind, lines, [f"{base}/{item.found.reference}" for item in items], notes=notes)


def _head(patient: Mapping[str, Any], now: datetime) -> str:
    cells = (
        (both("氏名", "Name"), names(patient)),
        (both("生年月日", "Born"), moment(patient.get("birthDate")) or both("記載なし", "not stated")),
        (both("性別", "Sex"), sex(patient)),
        (both("作成", "Made"), f"{moment(_instant(now))} (日本時間 / Japan time)"),
    )
    lines = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in cells)
    return div(f'<table><tbody>{lines}</tbody></table><p>{COMMENT[0]}</p><p lang="en" xml:lang="en">{COMMENT[1]}</p>')


class _Reading:
    """What a resource refers to, as far as the document holds it: contained, or an entry."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._by_reference = {item.found.reference: item for item in items}

    def __call__(self, resource: Mapping[str, Any], reference: object) -> Mapping[str, Any]:
        text = reference.get("reference", "") if isinstance(reference, Mapping) else ""
        if text.startswith("#"):
            return next((c for c in resource.get("contained", ()) if c.get("id") == text[1:]), {})
        found = self.item(resource, reference)
        return found.resource if found else {"text": displayed(reference)}

    def item(self, resource: Mapping[str, Any], reference: object) -> Item | None:
        text = reference.get("reference", "") if isinstance(reference, Mapping) else ""
        return self._by_reference.get(text.partition("/_history/")[0])


def _needed(items: Sequence[Item], supporting: Sequence[Item]) -> list[Item]:
    """Of the supporting resources those that these refer to, and what those refer to."""
    by_reference = {item.found.reference: item for item in supporting}
    out: dict[str, Item] = {}
    newly = list(items)
    while newly:
        texts = b"".join(item.found.body or b"" for item in newly)
        newly = [i for r, i in by_reference.items() if r not in out and b'"reference":"%s' % r.encode() in texts]
        out |= {item.found.reference: item for item in newly}
    return [item for reference, item in by_reference.items() if reference in out]


def _once(items: Sequence[Item]) -> list[Item]:
    return list({item.found.reference: item for item in items}.values())


def _name(items: Sequence[Item], now: datetime, salt: bytes, use: bytes) -> UUID:
    text = "|".join(f"{item.found.reference}/{item.found.version}" for item in items)
    digest = hashlib.blake2b(use + f"|{_instant(now)}|{text}".encode(), key=salt[:64], digest_size=16).digest()
    return UUID(bytes=digest, version=4)


def _instant(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds")
