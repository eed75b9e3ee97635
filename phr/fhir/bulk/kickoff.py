"""The kick-off: `$export` of the system, of all patients, of a Group (Bulk Data Access IG 3.0.0, export §kick-off).

What is not understood fails it (400), or is ignored and told in the manifest's `error` with
`Prefer: handling=lenient`. Only backend services (system/ scopes) may ask.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpResponse

from consent import audit
from consent.audit import Event
from consent.decide import Caller
from phr.fhir import wire
from phr.fhir.bulk import clients, filters, lines, tasks
from phr.fhir.bulk.plan import Plan, place
from phr.fhir.door import admitted
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.inputs import In
from phr.fhir.outcome import FHIR_JSON, Issue, Problem, as_json
from phr.records import authority, definitions, sealed_files
from phr.records import body as bodies
from phr.records.exporting import Export
from phr.records.gateway import Records
from phr.records.jobs import ExportJob
from phr.records.search.terms import literal

URL = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
FORMATS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
ASSOCIATED = {"LatestProvenanceResources": "latest", "RelevantProvenanceResources": "relevant"}
MOST_KEPT = 20  # jobs of one client that have not expired
MOST_MEMBERS = 10_000
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async(?:$|[,;\s])", re.IGNORECASE)
_ELEMENT = re.compile(r"(?:([A-Z][A-Za-z]+)\.)?([a-z][A-Za-z]*)")

INPUTS = (
    In("_outputFormat", "string"),
    In("_since", "instant"),
    In("_until", "instant"),
    In("_type", "string", max=None, commas=True),
    In("_elements", "string", max=None, commas=True),
    In("_typeFilter", "string", max=None),
    In("includeAssociatedData", "string", max=None, commas=True),
    # A leave, not a wish: the answer is always one manifest, whole, so this is read nowhere.
    In("allowPartialManifests", "boolean"),
)
PATIENT = In("patient", "Reference", max=None)


@dataclass(slots=True)
class Faults:
    """What is not understood: refused, or, when lenient, remembered."""

    lenient: bool
    ignored: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, name: str, ja: str, en: str) -> None:
        """Raises Problem (400) unless lenient."""
        if not self.lenient:
            raise Problem(400, "not-supported", f"{name[:64]}: {ja}{en}", f"http.{name[:64]}")
        self.ignored.append((name[:64], en))


@operation("export", definition=f"{URL}/export", levels={"system"}, inputs=INPUTS, rest=True)
def system(records: Records, ask: Ask) -> HttpResponse:
    """Everything the client may see."""
    return _accepted(records, ask, "system", None)


@operation(
    "export", definition=f"{URL}/patient-export", on=("Patient",), levels={"type"}, inputs=(*INPUTS, PATIENT), rest=True
)
def patients(records: Records, ask: Ask) -> HttpResponse:
    """All that is about patients."""
    return _accepted(records, ask, "patient", None)


@operation(
    "export", definition=f"{URL}/group-export", on=("Group",), levels={"instance"}, inputs=(*INPUTS, PATIENT), rest=True
)
def group(records: Records, ask: Ask) -> HttpResponse:
    """All that is about the members of a Group the client may see."""
    _backend(records.caller)
    admitted(records, "Group", "r")
    found = bodies.parse(records.read("Group", ask.id or "").body or b"{}")
    return _accepted(records, ask, "group", sorted(members(found)))


def members(group: dict[str, object]) -> set[UUID]:
    """The persons who are members: Patients, named by reference, not marked inactive."""
    listed = group.get("member")
    out = set()
    for member in listed if isinstance(listed, list) else ():
        if not member.get("inactive") and (found := _person(member.get("entity", {}))):
            out.add(found)
    return out


def _person(reference: dict[str, object]) -> UUID | None:
    text = reference.get("reference")
    parts = literal(text) if isinstance(text, str) else None
    if parts is None or parts[0] is not None or parts[1] != "Patient":
        return None
    try:
        return UUID(parts[2])
    except ValueError:
        return None


def _backend(caller: Caller) -> None:
    if not clients.is_backend(caller):
        text = "一括出力は system/ スコープのクライアントだけが使えます。For backend services (system/ scopes) only."
        raise Problem(403, "forbidden", text)


def _accepted(records: Records, ask: Ask, level: str, within: list[UUID] | None) -> HttpResponse:
    _backend(records.caller)
    prefer = ask.headers.get("Prefer", "")
    if not _ASYNC.search(prefer):
        text = "Prefer: respond-async が必要です。An export is asynchronous: send Prefer: respond-async."
        raise Problem(400, "required", text)
    asked = _plan(records, ask, level, within, Faults(not wire.strict(prefer, "strict")))
    job = accept(asked, by=records.caller, now=records.now)
    content = as_json([Issue("informational", "受け付けました。Accepted.", severity="information")])
    answer = HttpResponse(content, status=202, content_type=FHIR_JSON)
    answer["Content-Location"] = f"{wire.base()}/bulk/{job.pk}"
    return answer


@transaction.atomic
def accept(asked: Plan, *, by: Caller, now: datetime) -> ExportJob:
    """Keep what was asked, and wake a worker. Raises Problem (429)."""
    assert by.organization is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", [f"export|{by.client}"])
    mine = ExportJob.objects.filter(client=by.client, organization=by.organization)
    running = mine.filter(state__in=[ExportJob.State.ACCEPTED, ExportJob.State.RUNNING]).count()
    if running >= settings.PHR_EXPORT_JOBS or mine.count() >= MOST_KEPT:
        text = "進行中の一括出力が多すぎます。Too many exports: wait for one to end, or delete one."
        raise Problem(429, "throttled", text, Retry_After="60")
    id = uuid4()
    kek, wrapped, key = sealed_files.new_key(id)
    job = ExportJob.objects.create(
        id=id, client=by.client, organization_id=by.organization, authority=authority.as_json(by), kek=kek,
        wrapped=wrapped, plan=sealed_files.seal(key, asked.packed(), place(id)), created_at=now, heartbeat_at=now,
    )  # fmt: skip
    audit.record(Event.EXPORT_ACCEPTED, by=by, now=now, detail={"run": str(id), "kind": asked.level})
    tasks.wake_worker(id)
    return job


# -- reading what is asked -----------------------------------------------------------------------------


def _plan(records: Records, ask: Ask, level: str, within: list[UUID] | None, faults: Faults) -> Plan:
    for name, _ in ask.rest:
        faults(name, "この操作にない引数です。", "Not a parameter of this operation.")
    if ask.one("_outputFormat", "ndjson").replace(" ", "+") not in FORMATS:
        faults("_outputFormat", "NDJSON だけを出力します。", "Only NDJSON is written.")
    types = _types(records, ask, level, faults)
    kept = filters.read(ask.many("_typeFilter"), types, now=records.now, base=wire.base(), faults=faults)
    for type, _ in kept:
        admitted(records, type, "s")
    asked = urlencode(ask.asked)
    return Plan(
        request=f"{wire.base()}/{f'{ask.place}/' if ask.place else ''}$export{f'?{asked}' if asked else ''}",
        level=level, types=types, filters=kept, members=_members(records, ask, within), since=_moment(ask, "_since"),
        until=_moment(ask, "_until"), elements=_elements(ask, faults),
        provenance=_associated(records, ask, faults), ignored=faults.ignored,
    )  # fmt: skip


def _moment(ask: Ask, name: str) -> datetime | None:
    text = ask.one(name)
    return datetime.fromisoformat(text) if text else None


def _types(records: Records, ask: Ask, level: str, faults: Faults) -> list[str] | None:
    """The types asked for; None = all. Without one that the token covers there is nothing to do."""
    if not any("s" in door.letters for door in records.scope.doors):
        text = "このトークンでは検索できません。The token covers no search (system/*.s)."
        raise Problem(403, "forbidden", text)
    named = list(dict.fromkeys(name.strip() for name in ask.many("_type")))
    kept = []
    for name in named:
        if name not in definitions.concrete_types():
            faults("_type", f"{name[:64]} という型はありません。", f"{name[:64]} is not a resource type.")
        elif level != "system" and name != "Patient" and name not in definitions.patient_compartment():
            faults("_type", f"{name} は患者の記録に属しません。", f"{name} is not in the Patient compartment.")
        else:
            admitted(records, name, "s")
            kept.append(name)
    if named and not kept:
        text = "_type: 出力できる型がありません。None of these can be exported."
        raise Problem(400, "not-supported", text, "http._type")
    return kept or None


def _associated(records: Records, ask: Ask, faults: Faults) -> str:
    """Which Provenance goes along: the least restrictive of what is asked."""
    asked = [value.strip() for value in ask.many("includeAssociatedData")]
    for value in asked:
        if value not in ASSOCIATED:
            faults("includeAssociatedData", f"{value[:64]} は使えません。", f"{value[:64]} is not supported.")
    found = [ASSOCIATED[value] for value in asked if value in ASSOCIATED]
    if found:
        admitted(records, "Provenance", "s")
    return max(found, default="")  # "relevant" comes after "latest", and is the larger


def _members(records: Records, ask: Ask, within: list[UUID] | None) -> list[UUID] | None:
    """The persons asked for: members of the Group, and Patients the client can see. Raises Problem (422)."""
    named = []
    for reference in ask.many("patient"):
        person = _person(reference) if isinstance(reference, dict) else None
        if person is None:
            text = "patient: Patient/id で指定してください。Expected a reference to a Patient."
            raise Problem(400, "invalid", text, "http.patient")
        named.append(person)
    if not named:
        return _bounded(within)
    lost = set(named) - set(within) if within is not None else set()
    lost = lost or Export.of(records).unknown(named)
    if lost:
        text = f"patient: Patient/{min(lost)} が見つかりません。This patient is not known here."
        raise Problem(422, "not-found", text, "http.patient")
    return _bounded(sorted(set(named)))


def _bounded(found: list[UUID] | None) -> list[UUID] | None:
    if found is not None and len(found) > MOST_MEMBERS:
        text = f"一度に {MOST_MEMBERS} 人までです。At most {MOST_MEMBERS} persons in one export."
        raise Problem(422, "too-costly", text)
    return found


def _elements(ask: Ask, faults: Faults) -> dict[str, list[str]]:
    """Root elements by type; "" = of every type."""
    out: dict[str, list[str]] = {}
    for text in ask.many("_elements"):
        match = _ELEMENT.fullmatch(text.strip())
        type, name = (match[1] or "", match[2]) if match else ("", "")
        if not match or (type and (type not in definitions.concrete_types() or name not in lines.roots(type))):
            faults("_elements", f"{text[:64]} は要素ではありません。", f"{text[:64]} is not a root element.")
        else:
            out.setdefault(type, []).append(name)
    return out
