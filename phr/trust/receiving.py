"""Moving in: a package of `porting`, checked as a whole, then brought in as every other write is.

Organisations keep what they wrote, the family what it wrote; each condition counts again from its commit, in the name
of the person the record is opened to here. Bringing in the same package again changes nothing. Nothing is believed
that the manifest does not vouch for; a line that may not be stored is named, and the others go in.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from consent import audit, grants, guardianship
from consent.asking import Caller, Capacity
from consent.audit import Event
from consent.clauses import Malformed, clause_from_json
from consent.models import Grant, Organization, Person, Subject
from consent.receipts import terms_of
from consent.refusal import Because, Refusal
from consent.scope import Purpose
from phr.records import body
from phr.records.ingesting import Incoming, Outcome, Problem, bring
from phr.records.ndjson import Line
from phr.trust import consents, porting
from phr.trust.acting import EVERY_DOOR, caller_for
from phr.trust.packing import MANIFEST

CLIENT = "moving-in"
BATCH = 500  # lines of one transaction
MOST = 64 << 20  # bytes of a file that is held whole: all but the record
LONGEST = 4 << 20  # bytes of one line
Told = dict[str, Any]
Clock = Callable[[], datetime]


@dataclass(slots=True)
class Received:
    """What became of a package."""

    manifest: Told
    created: int = 0
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)
    grants: int = 0
    left: list[str] = field(default_factory=list)  # conditions that could not be given here, and why


class Damaged(Refusal):
    """The package is not what its manifest says, or none of ours."""


def opened(path: Path) -> Told:
    """The manifest, after every file was compared with it. Raises Damaged."""
    try:
        with zipfile.ZipFile(path) as package:
            manifest = json.loads(_whole(package, MANIFEST))
            if manifest.get("format") != porting.FORMAT:
                raise Damaged("この形式の記録ではありません / not a package of this form")
            for entry in manifest["files"]:
                _compare(package, entry)
            UUID(manifest["record"])
            return dict(manifest)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise Damaged(f"パッケージを読めません / the package cannot be read ({type(error).__name__})") from None


def receive(path: Path, *, person: Person, register: bool, clock: Clock) -> Received:
    """Bring a package in, for a person who is entitled to the record here: herself, or a verified guardian.

    `register`: enter organisations that are not known here (they can do nothing by that alone). Raises Damaged; Refusal
    where the record is closed here, where she is not entitled, or organisations are missing.
    """
    manifest = opened(path)
    done = Received(manifest)
    with zipfile.ZipFile(path) as package:
        ids = _organizations(list(_rows(package, "organizations.ndjson")), register=register)
        subject, capacity = _entitled(manifest, person, clock())
        authors = {row["reference"]: ids[row["author"]] for row in _rows(package, "authors.ndjson")}
        for patients in (True, False):
            for lines in _batches(_lines(package)):
                _bring(lines, authors, subject, person, capacity, patients, done, clock())
        _conditions(list(_rows(package, "consents.ndjson")), ids, subject, person, capacity, done, clock)
    audit.record(
        Event.RECORD_MOVED_IN, by=person, subject=subject.pk, now=clock(),
        detail={"created": done.created, "unchanged": done.unchanged, "digest": digest_of(manifest)},
    )  # fmt: skip
    return done


def digest_of(manifest: Told) -> str:
    """What a receipt names: the SHA-256 of the manifest in one spelling."""
    return sha256(body.canonical(manifest)).hexdigest()


def digest_kept(manifest: Told | None) -> str:
    """The digest of a manifest as a Transfer keeps it: whole, or only its digest once the record is erased."""
    told = manifest or {}
    return str(told["digest"]) if set(told) == {"digest"} else digest_of(told)


# -- reading a package -------------------------------------------------------------------------------


def _whole(package: zipfile.ZipFile, name: str) -> bytes:
    if package.getinfo(name).file_size > MOST:
        raise Damaged(f"{name}: 大きすぎます / too large")
    return package.read(name)


def _compare(package: zipfile.ZipFile, entry: Told) -> None:
    digest, rows = sha256(), 0
    with package.open(entry["name"]) as file:
        while part := file.read(1 << 20):
            digest.update(part)
            rows += part.count(b"\n")
    if digest.hexdigest() != entry["sha256"] or entry["rows"] not in (0, rows):
        raise Damaged(f"{entry['name'][:80]}: 内容が目録と違います / not what the manifest says")


def _rows(package: zipfile.ZipFile, name: str) -> Iterator[Told]:
    for line in _whole(package, name).splitlines():
        row = json.loads(line)
        if not isinstance(row, dict):
            raise Damaged(f"{name}: 行を読めません / a line cannot be read")
        yield row


def _lines(package: zipfile.ZipFile) -> Iterator[Line]:
    with package.open("fhir.ndjson") as file:
        number = end = 0
        while text := file.readline(LONGEST):
            number, end = number + 1, end + len(text)
            if not text.endswith(b"\n"):
                raise Damaged(f"fhir.ndjson:{number}: 行が長すぎます / the line is too long")
            yield Line(number, end, text[:-1])


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    each = iter(lines)
    while batch := list(islice(each, BATCH)):
        yield batch


# -- bringing in -------------------------------------------------------------------------------------


def _organizations(named: list[Told], *, register: bool) -> dict[str, int]:
    """Their numbers here, by code. Raises Refusal naming those that are missing."""
    ids = dict(Organization.objects.filter(code__in=[o["code"] for o in named]).values_list("code", "pk"))
    missing = [o for o in named if o["code"] not in ids]
    if missing and not register:
        codes = ", ".join(sorted(str(o["code"]) for o in missing)[:20])
        raise Refusal(
            f"登録されていない機関があります / organisations are not known here: {codes}", place="organizations"
        )
    for told in missing:
        if told["kind"] not in Organization.Kind.values:
            raise Damaged("機関の種類が不明です / an organisation of an unknown kind")
        made = Organization.objects.create(name=str(told["name"])[:200], kind=told["kind"], code=str(told["code"])[:10])
        ids[made.code] = made.pk
    return ids


@transaction.atomic
def _entitled(manifest: Told, person: Person, now: datetime) -> tuple[Subject, Capacity]:
    """The record here, made where there is none yet. Raises Refusal."""
    id = UUID(manifest["record"])
    birth_on = date.fromisoformat(manifest["birth_on"]) if manifest.get("birth_on") else None
    subject, made = Subject.objects.get_or_create(id=id, defaults={"birth_on": birth_on, "created_at": now})
    if made and manifest["capacity"] == Capacity.SELF and person.own_subject_id is None:
        person.own_subject = subject
        person.save(update_fields=["own_subject"])
    capacity = guardianship.standing(person, subject, now)
    if subject.state != Subject.State.ACTIVE or capacity is None:
        text = "この記録を受け入れる資格がありません / this person is not entitled to this record here"
        raise Refusal(text, because=Because.FORBIDDEN)
    return subject, capacity


def _bring(
    lines: list[Line], authors: dict[str, int], subject: Subject, person: Person, capacity: Capacity, patients: bool,
    done: Received, now: datetime,
) -> None:  # fmt: skip
    by_author: dict[int | None, list[Line]] = {}
    for line in lines:
        by_author.setdefault(authors.get(_reference(line)), []).append(line)
    for author, own in by_author.items():
        caller = caller_for(person, subject.pk, capacity, client=CLIENT) if author is None else _writer(author, subject)
        with transaction.atomic():
            found = bring(Incoming.opened_by(caller, now=now), own, read=body.received, patients=patients)
        _add(done, found)


def _reference(line: Line) -> str:
    try:
        told = body.parse(line.text or b"")
    except body.Malformed:
        return ""  # named among the problems when it is brought in
    return f"{told.get('resourceType')}/{told.get('id')}"


def _writer(organization: int, subject: Subject) -> Caller:
    """An organisation that wrote in this record, for this record."""
    kind = Organization.objects.values_list("kind", flat=True).get(pk=organization)
    municipal = kind in (Organization.Kind.MUNICIPALITY, Organization.Kind.SCHOOL)
    return Caller(
        client=CLIENT, capacity=Capacity.SYSTEM, purpose=Purpose.PUBHLTH if municipal else Purpose.TREAT,
        doors=EVERY_DOOR, organization=organization, subject=subject.pk,
    )  # fmt: skip


def _add(done: Received, found: Outcome) -> None:
    done.created += found.created
    done.unchanged += found.unchanged
    done.problems += found.problems


def _conditions(
    told: list[Told], ids: dict[str, int], subject: Subject, person: Person, capacity: Capacity, done: Received,
    clock: Clock,
) -> None:  # fmt: skip
    """Give again what was in force there, in order; what stands here already is passed over."""
    standing = [grant.root for grant in Grant.objects.filter(subject=subject, state__in=porting.LIVE)]
    for number, row in enumerate(told, 1):
        try:
            root = clause_from_json(porting.local(row["root"], ids))
            if grants.clause_to_json(root) in standing:
                continue
            terms = terms_of(row.get("terms") or {})
            made = consents.give(
                subject=subject, root=root, by=person, capacity=capacity, now=clock(), terms=replace(terms, names={}),
                ask=bool(row.get("ask")),
            )  # fmt: skip
            if row.get("state") == Grant.State.PAUSED and made.state == Grant.State.ACTIVE:
                consents.pause(grant=made, by=person, now=clock())
            done.grants += 1
        except (Refusal, Malformed, KeyError, TypeError, ValueError) as error:
            done.left.append(f"consents.ndjson:{number}: {error}"[:300])
