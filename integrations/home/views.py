"""The door for measurements from phones: `POST /api/imports/home`.

The body is Apple Health's `export.xml` (application/xml), or JSON: a list of samples of HealthKit, Health Connect or
an app's own. It is for a person's own app: the token needs `Observation.c`, and `Observation.u` for corrections.
"""

from __future__ import annotations

from datetime import date
from typing import IO, Any, cast
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone

from consent.asking import FAMILY
from consent.decide import Caller
from integrations.home import uploading
from integrations.home.parse import read
from integrations.home.uploading import Uploaded
from integrations.problems import Unreadable
from phr.caller import caller_of
from phr.fhir import throttle, wire
from phr.fhir.outcome import Issue, Problem, as_json
from phr.records.gateway import Forbidden, NotFound, Records

KINDS = {"application/xml": True, "text/xml": True, "application/json": False}
KNOWN = ("subject", "since")


def upload(request: HttpRequest) -> HttpResponse:
    """`?subject=` (Patient id, where the token has none), `?since=` (a date) -> what became of it, 200.

    The same upload again changes nothing; 429 with Retry-After when the app's quota is spent: what is stored by then
    stays, and sending the same again goes on.
    """
    now = timezone.now()
    caller = caller_of(request, now=now)
    if caller.capacity not in FAMILY:
        raise Forbidden("measurements at home are the family's own words: an organisation writes Observations")
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise Problem(415, "not-supported", "application/xml か application/json です。Send XML or JSON.")
    asked = _asked(request)
    records = Records.opened_by(caller, now=now)

    def charge(resources: int, requests: int) -> None:
        throttle.charge(records, resources, requests=requests)

    try:
        done = uploading.upload(
            read(cast("IO[bytes]", request), xml=KINDS[kind]), subject=_subject(asked.get("subject"), caller),
            by=caller, now=now, charge=charge, since=_since(asked.get("since")),
        )  # fmt: skip
    except Unreadable as error:
        return _unreadable(error)
    except UnreadablePostError:
        raise Problem(400, "incomplete", "本文が途中で切れています。The body ends too early.") from None
    return HttpResponse(msgspec.json.encode(shown(done)), content_type="application/json")


def shown(done: Uploaded) -> dict[str, Any]:
    """An upload as JSON. `ignored`: kinds that are not taken in; problems name line or position, never a value."""
    return {
        "counts": {"created": done.created, "updated": done.updated, "unchanged": done.unchanged,
                   "retracted": done.retracted},
        "ignored": dict(done.passed.most_common(uploading.SHOWN)),
        "problems": [problem.as_json() for problem in done.problems],
        "hints": [
            {"reference": reference, "severity": hint.severity, "expression": hint.expression, "ja": hint.ja,
             "en": hint.en}
            for reference, hint in done.hints
        ],
    }  # fmt: skip


def _unreadable(error: Unreadable) -> HttpResponse:
    issues = [Issue("structure", f"{p.place()} {p.ja} {p.en}".strip()) for p in error.problems]
    status = 413 if any(p.code in ("too-large", "too-many") for p in error.problems) else 422
    return HttpResponse(as_json(issues), status=status, content_type="application/fhir+json; charset=utf-8")


def _asked(request: HttpRequest) -> dict[str, str]:
    given = wire.asked(request)
    for name, _ in given:
        if name not in KNOWN:
            raise Problem(400, "not-supported", "知らない指定です。Unknown parameter.", f"http.{name[:64]}")
    return dict(given)


def _subject(given: str | None, caller: Caller) -> UUID:
    """The person it is for. One that is not the token's patient is answered like one that does not exist."""
    if given is None:
        if caller.subject is None:
            raise Problem(400, "required", "だれの記録かを指定してください。The subject is missing.", "http.subject")
        return caller.subject
    try:
        subject = UUID(given)
    except ValueError:
        raise NotFound("subject") from None
    if caller.subject is not None and subject != caller.subject:
        raise NotFound("subject")
    return subject


def _since(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Problem(400, "value", "日付は YYYY-MM-DD です。Expected a date.", "http.since") from None
