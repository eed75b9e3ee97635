"""Portability (IT-15; APPI Art. 33 (2)): one record as files that another server of this kind, or any FHIR server,
can bring in.

    fhir.ndjson            every current resource, as FHIR R4
    authors.ndjson         which organisation wrote which; the rest the family wrote
    organizations.ndjson   the organisations named
    consents.ndjson        the conditions in force, organisations named by their codes
    manifest.json          rows and SHA-256 of each; beside it the SHA-256 of what they say

What they say (`content`) leaves out version and time, which every server gives anew, and the order of lines: after
moving in elsewhere it is the same. Consents also stand in FHIR in the record; they are made anew from the conditions.
A Grant to a private person stays behind: persons are not known by code elsewhere (`left_behind`). For a guardian, while
the place is hidden (G-08), the authors are left out, and conditions of others that name organisations stay behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from consent import audit, telling
from consent.asking import Caller, Capacity
from consent.audit import Event
from consent.models import Grant, Organization, Subject
from consent.telling import Reader
from phr.records import body, disclosing
from phr.trust import wording
from phr.trust.packing import Package

Clock = Callable[[], datetime]
Told = dict[str, Any]
FORMAT = "tsumugi-record/1"
PROJECTIONS = frozenset({"Consent", "AuditEvent"})  # made anew from what they show
LIVE = (Grant.State.ACTIVE, Grant.State.PAUSED)


@dataclass
class Content:
    """The SHA-256 of what a file says: of its lines, each in one spelling, sorted."""

    digests: list[bytes] = field(default_factory=list)

    def add(self, told: Told) -> None:
        self.digests.append(sha256(body.canonical(told)).digest())

    def hex(self) -> str:
        return sha256(b"".join(sorted(self.digests))).hexdigest()


def export(
    subject: Subject,
    *,
    capacity: Capacity,
    caller: Caller,
    clock: Clock,
    head: Told | None = None,
    sign: Callable[[Told], Told] = lambda manifest: manifest,
) -> Iterator[bytes]:
    """The package, as it is made; decided and logged chunk by chunk. Raises Refused where the right ends meanwhile.

    `head`: what the manifest says besides; `sign` has the last word on it.
    """
    now = clock()
    audit.record(Event.RECORD_DISCLOSED, by=caller, subject=subject.pk, now=now, detail={"kind": "portability"})
    package, record, consents = Package(now), Content(), Content()
    codes = dict(Organization.objects.values_list("pk", "code"))
    reader = Reader.at(
        now, person=caller.person or 0, capacity=capacity, birth_on=subject.birth_on,
        location_hidden=subject.location_hidden,
    )  # fmt: skip
    authors: list[tuple[str, int]] = []
    yield from package.lines("fhir.ndjson", _resources(subject, caller, clock, authors, record))
    if reader.place_hidden:  # G-08: who wrote it tells where she is
        authors.clear()
    yield from package.lines("authors.ndjson", _authors(authors, codes))
    grants, left = _grants(subject, codes, consents, reader)
    yield from package.lines("consents.ndjson", map(msgspec.json.encode, grants))
    named = {author for _, author in authors} | {id for id, code in codes.items() if _names(grants, code)}
    yield from package.lines("organizations.ndjson", _organizations(named))
    told = {
        "format": FORMAT, "record": str(subject.pk), "birth_on": subject.birth_on and subject.birth_on.isoformat(),
        "capacity": capacity.value, "content": {"fhir": record.hex(), "consents": consents.hex()},
        "left_behind": left, **(head or {}),
    }  # fmt: skip
    yield from package.text("index.html", wording.index_page(package.manifest(told)))
    yield from package.end(sign(package.manifest(told)))


def content_of(resource: Told) -> Told:
    """A resource without what every server gives anew."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    rest = {k: v for k, v in resource.items() if k != "meta"}
    return {**rest, "meta": meta} if meta else rest


def _resources(
    subject: Subject, caller: Caller, clock: Clock, authors: list[tuple[str, int]], content: Content
) -> Iterator[bytes]:
    """Labels stay: without them the record would be less protected where it arrives."""
    for found in disclosing.walk(caller, subject.pk, clock=clock, method="portability", earlier=False):
        if found.type in PROJECTIONS or found.body is None:
            continue
        if found.facts.author is not None:
            authors.append((found.reference, found.facts.author))
        content.add(content_of(body.parse(found.body)))
        yield found.body


def _authors(authors: Iterable[tuple[str, int]], codes: dict[int, str]) -> Iterator[bytes]:
    for reference, author in authors:
        yield msgspec.json.encode({"reference": reference, "author": codes[author]})


def _organizations(named: set[int]) -> Iterator[bytes]:
    for found in Organization.objects.filter(pk__in=named).order_by("code"):
        yield msgspec.json.encode({"code": found.code, "name": found.name, "kind": found.kind})


def _grants(
    subject: Subject, codes: dict[int, str], content: Content, reader: Reader
) -> tuple[list[Told], int]:  # fmt: skip
    """The conditions in force, and how many stay behind: of those that are there for whoever asks."""
    kept: list[Told] = []
    left = 0
    for grant in Grant.objects.filter(subject=subject, state__in=LIVE).order_by("given_at", "pk"):
        if not telling.grant_shown(reader, root=grant.root, given_as=grant.capacity, given_by=grant.given_by_id):
            continue
        root = portable(grant.root, codes)
        hidden = not telling.place_shown(reader, given_by=grant.given_by_id)
        if root is None or (hidden and named_in(root)):
            left += 1
            continue
        says = {"root": root, "state": grant.state, "ask": grant.ask}
        content.add(says)
        terms = {key: value for key, value in grant.terms.items() if key != "names"}
        kept.append({**says, "given_at": grant.given_at.isoformat(), "capacity": grant.capacity, "terms": terms})
    return kept, left


def _names(grants: Iterable[Told], code: str) -> bool:
    return any(code in named_in(told["root"]) for told in grants)


def portable(root: Told, codes: dict[int, str]) -> Told | None:
    """A tree of Clauses with organisations by their codes; None where it names a private person."""
    told = dict(root)
    if "actors" in root:
        actors = [_coded(actor, codes) for actor in root["actors"]]
        if None in actors:
            return None
        told["actors"] = sorted(str(actor) for actor in actors)
    if "authors" in root:
        told["authors"] = sorted(codes[author] for author in root["authors"])
    below = [portable(child, codes) for child in root.get("clauses", ())]
    if None in below:
        return None
    return {**told, "clauses": below} if below else told


def local(root: Told, ids: dict[str, int]) -> Told:
    """The same tree with the numbers that organisations have here. Raises KeyError for one that is not here."""
    told = dict(root)
    if "actors" in root:
        told["actors"] = sorted(
            f"org:{ids[actor[9:]]}" if actor.startswith("org-code:") else actor for actor in root["actors"]
        )
    if "authors" in root:
        told["authors"] = sorted(ids[code] for code in root["authors"])
    if "clauses" in root:
        told["clauses"] = [local(child, ids) for child in root["clauses"]]
    return told


def named_in(root: Told) -> set[str]:
    """The codes of the organisations that a portable tree names."""
    own = {actor[9:] for actor in root.get("actors", ()) if actor.startswith("org-code:")} | set(
        root.get("authors", ())
    )
    return own.union(*(named_in(child) for child in root.get("clauses", ())))


def _coded(actor: str, codes: dict[int, str]) -> str | None:
    kind, _, rest = actor.partition(":")
    if kind == "org":
        return f"org-code:{codes[int(rest)]}"
    return None if kind == "person" else actor
