"""The door for inputs: `POST /api/imports/{kind}` takes one in, `GET /api/imports/{id}` tells what became of it.

The token needs `c` for the type the connector is about (jahis-qr: `patient/MedicationDispense.c`). What else the
input holds (Communication, AllergyIntolerance, Condition, MedicationStatement, CareTeam, DocumentReference, Binary,
Provenance) is written as far as the token carries `c` for it, and otherwise left out and named in the problems.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from integrations import accepting, feed_views, metrics, taking
from integrations.base import UnknownKind, connector, feeds
from integrations.encoded import base64_bytes
from integrations.incoming import Part
from integrations.models import ImportRun
from phr.caller import caller_of
from phr.fhir import wire
from phr.fhir.outcome import Problem
from phr.records.gateway import NotFound

MOST = 32_767  # of index and total
LONGEST_ID = 64


def start(request: HttpRequest, *, kind: str) -> HttpResponse:
    """Of a feed, see `feed_views`. Of one person's input:

    `{"subject": id, "parts": [{"data": base64, "index"?: 0…, "total"?: 1…, "id"?: text}, …]}` -> 202 and Location.

    `subject` may be left out where the token has a patient.
    """
    now = timezone.now()
    caller = caller_of(request, now=now)
    if kind in feeds():
        return feed_views.start(request, feeds()[kind], caller, now=now)
    content = wire.json_body(request)
    _known_keys(content, {"subject", "parts"}, "")
    subject = _subject(content.get("subject"), caller.subject)
    try:
        run = accepting.accept(connector(kind), _parts(content.get("parts")), subject=subject, by=caller, now=now)
    except UnknownKind:
        raise NotFound(kind) from None
    except accepting.TooLarge:
        raise Problem(413, "too-long", "データが大きすぎます。The parts are too large.", "parts") from None
    except accepting.TooMany:
        raise Problem(429, "throttled", "取り込みが多すぎます。Too many imports are open.", Retry_After="60") from None
    answer = _answer(run, status=202)
    answer["Location"] = f"/api/imports/{run.pk}"
    return answer


def show(request: HttpRequest, *, id: UUID) -> HttpResponse:
    """State, progress and problems of one run of the caller's own."""
    now = timezone.now()
    caller = caller_of(request, now=now)
    if run := taking.visible(id, by=caller, now=now):
        return feed_views.answered(run, now=now)
    return _answer(accepting.visible(id, by=caller, now=now), status=200)


def shown(run: ImportRun) -> dict[str, Any]:
    """A run as JSON. `missing`: positions (from 1) of the parts still wanted; `problems` name part, line and field."""
    times = {"created": run.created_at, "started": run.started_at, "finished": run.finished_at}
    return {
        "id": str(run.pk),
        "kind": run.kind,
        "subject": str(run.subject_id),
        "state": run.state,
        "progress": {"done": run.done, "total": run.total},
        "counts": {"created": run.created, "updated": run.updated, "unchanged": run.unchanged},
        "missing": run.missing,
        "problems": run.problems,
    } | {name: at.isoformat(timespec="seconds") for name, at in times.items() if at}


def _answer(run: ImportRun, *, status: int) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(shown(run)), status=status, content_type="application/json")


def _bad(text: str, place: str) -> Problem:
    return Problem(400, "invalid", text, place)


def _known_keys(content: dict[str, Any], known: set[str], place: str) -> None:
    for key in content.keys() - known:
        raise _bad("知らない項目です。Unknown property.", f"{place}{key[:64]}")


def _subject(given: object, context: UUID | None) -> UUID:
    """The person it is for. One that is not the token's patient is answered like one that does not exist."""
    if given is None:
        if context is None:
            raise _bad("だれの記録かを指定してください。The subject is missing.", "subject")
        return context
    if not isinstance(given, str):
        raise _bad("Patient の id を文字列で指定してください。Expected a Patient id.", "subject")
    try:
        subject = UUID(given)
    except ValueError:
        raise NotFound("subject") from None
    if context is not None and subject != context:
        raise NotFound("subject")
    return subject


def _parts(given: object) -> list[Part]:
    if not isinstance(given, list) or not given:
        raise _bad("parts は 1 個以上の配列です。Expected a list of parts.", "parts")
    if len(given) > accepting.MOST_PARTS:
        raise accepting.TooLarge
    return [_part(item, f"parts[{place}]") for place, item in enumerate(given)]


def _part(item: object, place: str) -> Part:
    if not isinstance(item, dict):
        raise _bad("オブジェクトではありません。Expected an object.", place)
    _known_keys(item, {"data", "index", "total", "id"}, f"{place}.")
    set_id = item.get("id")
    if set_id is not None and not (isinstance(set_id, str | int) and len(str(set_id)) <= LONGEST_ID):
        raise _bad("64 文字までの文字列です。Expected a text of up to 64 characters.", f"{place}.id")
    return Part(
        data=base64_bytes(item.get("data"), f"{place}.data"),
        index=_count(item, "index", 0, place),
        total=_count(item, "total", 1, place),
        id=None if set_id is None else str(set_id).replace("\x00", "\ufffd"),
    )


def _count(item: dict[str, Any], name: str, least: int, place: str) -> int | None:
    value = item.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST:
        raise _bad(f"{least} 以上の整数です。Expected a whole number from {least}.", f"{place}.{name}")
    return value


@require_safe
def watched(request: HttpRequest) -> HttpResponse:
    """For the operator's monitoring, by the bearer of the environment. Everybody else finds nothing here."""
    expected = f"Bearer {settings.PHR_METRICS_TOKEN}"
    told = request.headers.get("Authorization", "")
    if not settings.PHR_METRICS_TOKEN or not constant_time_compare(told, expected):
        return HttpResponse(status=404)  # no page: a machine asks here
    return HttpResponse(metrics.text(now=timezone.now()), content_type=CONTENT_TYPE_LATEST)
