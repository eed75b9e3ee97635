"""Bringing in lines of resources for an organisation: what is new is created under its own id, what is there
already and the same is passed over, everything else is refused by name of its line. Repeatable.

Everything is checked, classified, indexed, sealed and logged as in any other create; a line that cannot be
stored is left out whole, and the others go in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, connection, transaction

from consent import keys
from consent.audit import Event
from phr.records import body, definitions, naming, store
from phr.records.gateway import Conflict, Forbidden, Invalid, Records, Rejected, TooLarge, Unprocessable
from phr.records.ndjson import Line
from phr.records.scoping import Params, scope_sql
from phr.records.store import Stored

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)  # R4 datatypes.html, id
Resource = dict[str, Any]
Read = Callable[[bytes], Resource]  # raises body.Malformed
Name = tuple[str, str]
SLICE = 100  # resources compared at a time: what is there may be larger than what comes
PATIENT = b'"Patient"'  # stands in every line that may be one, but for escapes nobody writes

# Why a line is not stored: Japanese, English. Never a value of the resource.
WORDS = {
    "malformed": ("JSON として読めません。", "Not readable as a JSON object."),
    "too-long": ("行が長すぎます。", "The line is too long."),
    "nameless": ("R4 の resourceType と id が必要です。", "A resourceType of R4 and an id are needed."),
    "twice": ("同じ id の別の内容が同じファイルにあります。", "Stands with another content in this file already."),
    "differs": ("この id には別の内容が保存されています。", "Another content is stored under this id."),
    "deleted": ("この id の資源は削除されています。", "The resource of this id was deleted."),
    "taken": ("この id は使えません。", "This id cannot be used."),
    "forbidden": ("この組織は書き込めません。", "This organisation may not write it."),
    "unprocessable": ("この組織の記録として保存できません。", "It cannot be stored as a record of this organisation."),
    "patient-id": ("Patient の id は小文字の UUID です。", "The id of a Patient is a UUID in lower case."),
    "record-closing": ("解約の手続き中です。", "The contract for this record is ending; nothing new is taken."),
    "patient-unknown": ("この Patient は登録されていません。", "The Patient it names is not known here."),
    "patient-missing": ("どの Patient の記録かが必要です。", "It must name the Patient it is about."),
    "patients-too-many": ("一つの資源は二人までです。", "It speaks of more than two Patients; split it."),
    "conflict": ("他の記録と矛盾します。", "It does not fit what else is stored."),
    "too-large": ("資源が大きすぎます。", "The resource is too large."),
    "structure": ("構造が FHIR R4 と違います。", "Not the structure of FHIR R4."),
    "required": ("必須の要素がありません。", "A required element is missing."),
    "value": ("値の形式が正しくありません。", "Not a valid value."),
    "code-invalid": ("使えないコードです。", "Not one of the allowed codes."),
    "invariant": ("FHIR の規則に合いません。", "It breaks a rule of FHIR."),
    "not-supported": ("扱わないものです。", "Not supported."),
    "invalid": ("FHIR R4 として正しくありません。", "Not valid FHIR R4."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one line is not stored: its number, the FHIRPath place (may be empty), and a code of `WORDS`."""

    line: int
    place: str
    code: str

    def told(self) -> str:
        ja, en = WORDS.get(self.code, WORDS["invalid"])
        return f"{self.place + ': ' if self.place else ''}{ja}{en}"


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    created: int = 0
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def refused(self) -> int:
        return len({problem.line for problem in self.problems})


@dataclass(frozen=True, slots=True)
class Given:
    """A line as a resource."""

    line: int
    resource: Resource

    @property
    def name(self) -> Name:
        return self.resource["resourceType"], self.resource["id"]

    def content(self) -> bytes:
        """What makes it the same as another: all but version and time."""
        return content(self.resource)


def content(resource: Resource) -> bytes:
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    # Whether a Consent counts is not the importer's to say: its status becomes "proposed".
    ours = ("meta", "status") if resource.get("resourceType") == "Consent" else ("meta",)
    rest = {k: v for k, v in resource.items() if k not in ours}
    return body.canonical({**rest, "meta": meta} if meta else rest)


class Incoming(Records):
    """The record as one organisation may fill it."""

    def there(self, names: Sequence[Name]) -> list[Stored]:
        """What stands under these names already, deleted or not, as far as the caller sees; on the log."""
        p = Params()
        types, ids = [type for type, _ in names], [id for _, id in names]
        sql = (
            f"{store.select(terms=self.granular)}"
            f" WHERE (r.type, r.fhir_id) IN (SELECT * FROM unnest({p(types)}::text[], {p(ids)}::text[]))"
            f" AND {scope_sql(self.scope, 'r', p)}"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, p.values)
            rows = cursor.fetchall()
        found = self._opened(rows, letter="r")
        if found:
            self._log_found(Event.RECORD_SEARCHED, {"type": "*", "interaction": "import"}, found)
        return found


def bring(records: Incoming, lines: Iterable[Line], *, read: Read, patients: bool) -> Outcome:
    """Store what these lines hold. `patients`: only Patients, which go first; else everything but these."""
    out = Outcome()
    with transaction.atomic():
        fresh = _compared(records, _once(_given(lines, read, patients, out), out), out)
        _create(records, fresh, out)
    out.problems.sort(key=lambda problem: problem.line)
    return out


def _given(lines: Iterable[Line], read: Read, patients: bool, out: Outcome) -> Iterator[Given]:
    for line in lines:
        may_be = line.text is not None and PATIENT in line.text
        if patients and not may_be:
            continue
        fault, resource = _resource(line, read)
        first = may_be and not fault and resource["resourceType"] == "Patient"
        if first != patients:
            continue
        if fault:
            out.problems.append(Problem(line.number, "", fault))
        else:
            yield Given(line.number, resource)


def _resource(line: Line, read: Read) -> tuple[str, Resource]:
    """A fault, or the resource."""
    if line.text is None:
        return "too-long", {}
    try:
        resource = read(line.text)
    except body.Malformed:
        return "malformed", {}
    type, id = resource.get("resourceType"), resource.get("id")
    if not isinstance(type, str) or type not in definitions.concrete_types():
        return "nameless", {}
    if not isinstance(id, str) or not _ID.fullmatch(id):
        return "nameless", {}
    if type in definitions.PROJECTED or (type == "RelatedPerson" and id.startswith(naming.LINKS)):
        return "not-supported", {}
    return ("", resource) if isinstance(resource.get("meta", {}), dict) else ("structure", {})


def _once(given: Iterable[Given], out: Outcome) -> list[Given]:
    """Each id once; what stands there again is the same, or is refused."""
    seen: dict[Name, Given] = {}
    for one in given:
        first = seen.setdefault(one.name, one)
        if first is not one:
            _same(first.content(), one, "twice", out)
    return list(seen.values())


def _same(stored: bytes, one: Given, code: str, out: Outcome) -> None:
    if stored == one.content():
        out.unchanged += 1
    else:
        out.problems.append(Problem(one.line, one.name[0], code))


def _compared(records: Incoming, given: list[Given], out: Outcome) -> list[Given]:
    """Those of which nothing is there, as far as this caller sees."""
    return [one for start in range(0, len(given), SLICE) for one in _fresh(records, given[start : start + SLICE], out)]


def _fresh(records: Incoming, given: Sequence[Given], out: Outcome) -> Iterator[Given]:
    there = {(found.type, found.id): found for found in records.there([one.name for one in given])}
    for one in given:
        found = there.get(one.name)
        if found is None:
            yield one
        elif found.deleted:
            out.problems.append(Problem(one.line, one.name[0], "deleted"))
        else:
            _same(content(body.parse(found.body or b"{}")), one, "differs", out)


def _create(records: Records, given: Sequence[Given], out: Outcome) -> None:
    """Create all of them; where one is refused, it is named, and the others are tried in two halves."""
    if not given:
        return
    try:
        with transaction.atomic():
            records.create_all([one.resource for one in given], keep_ids=True)
            _settled()
    except (Conflict, IntegrityError, keys.Erased) as error:
        if len(given) == 1:
            code = "taken" if isinstance(error, Conflict) else "conflict"
            out.problems.append(Problem(given[0].line, given[0].name[0], code))
            return
        rest = list(given)
    except Rejected as error:
        at = error.at or 0
        out.problems += _told(given[at], error)
        rest = [*given[:at], *given[at + 1 :]]
    else:
        out.created += len(given)
        return
    middle = (len(rest) + 1) // 2
    _create(records, rest[:middle], out)
    _create(records, rest[middle:], out)


def _settled() -> None:
    """Let the database say now what it would say at the COMMIT, where it undoes every line. Raises IntegrityError."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _told(one: Given, error: Rejected) -> Iterator[Problem]:
    match error:
        case Invalid(problems=problems):
            counted = Counter((p.expression, p.code) for p in problems)
            yield from (Problem(one.line, place[:200], code) for place, code in list(counted)[:5])
        case TooLarge(expression=place):
            yield Problem(one.line, place, "too-large")
        case Unprocessable(expression=place, reason=reason):
            yield Problem(one.line, place, reason)
        case Forbidden():
            yield Problem(one.line, one.name[0], "forbidden")
        case _:
            yield Problem(one.line, one.name[0], "invalid")
