"""The door for feeds: `POST /api/imports/{kind}` with the file as the body, what became of it, and how it is steered.

`?profile=` names the source profile, `?dryRun=true` asks for a report only, `?name=` says what the file is called.
Several small files come as JSON: `{"parts": [{"name": text, "data": base64}, …]}`. The token is a system's or staff's,
without a patient, and carries `c` for what the feed is about.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from consent.decide import Caller
from consent.models import Organization
from consent.refusal import Absent, Because, Refusal
from integrations import accepting, steering, taking
from integrations.encoded import base64_bytes
from integrations.items import Feed, Piece
from integrations.models import ImportRun
from phr.caller import caller_of
from phr.fhir import wire
from phr.fhir.outcome import Problem
from phr.records.gateway import NotFound

DEEDS: dict[str, Callable[..., ImportRun]] = {
    "pause": steering.pause, "resume": steering.resume, "cancel": steering.cancel, "proceed": steering.proceed,
}  # fmt: skip
ASKED = frozenset({"profile", "dryRun", "name"})
LONGEST_NAME = 200
JSON = "application/json"


def start(request: HttpRequest, feed: Feed, caller: Caller, *, now: datetime) -> HttpResponse:
    """Take the body in; 202 and Location."""
    asked = _asked(request)
    office = Organization.objects.filter(pk=caller.organization or 0).first()
    if office is None:
        raise NotFound(feed.KIND)
    try:
        run = taking.take(
            feed, _pieces(request, feed, asked.get("name", "")), organization=office, by=caller, now=now,
            profile=asked.get("profile", ""), dry=asked.get("dryRun", "false") == "true",
        )  # fmt: skip
    except taking.UnknownProfile as error:
        known = ", ".join(error.known) or "-"
        raise Problem(400, "invalid", f"profile は次のどれかです。Choose one of: {known}", "profile") from None
    except taking.TooLarge:
        raise Problem(413, "too-long", "データが大きすぎます。The input is too large.") from None
    except taking.TooMany:
        raise Problem(429, "throttled", "取り込みが多すぎます。Too many imports are open.", Retry_After="60") from None
    answer = answered(run, now=now, status=202)
    answer["Location"] = f"/api/imports/{run.pk}"
    return answer


def steer(request: HttpRequest, *, id: UUID, deed: str) -> HttpResponse:
    """`POST /api/imports/{id}/pause | resume | cancel | proceed`. 409 where the run is not in a state for that."""
    now = timezone.now()
    caller = caller_of(request, now=now)
    if deed not in DEEDS:
        raise NotFound(deed)
    try:
        return answered(DEEDS[deed](run=id, by=caller, now=now), now=now)
    except Absent:
        raise NotFound(f"import {id}") from None
    except Refusal as error:
        status = 409 if error.because is Because.CONFLICT else 403
        raise Problem(status, "conflict", str(error)) from None


def answered(run: ImportRun, *, now: datetime, status: int = 200) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(shown(run, now=now)), status=status, content_type=JSON)


def shown(run: ImportRun, *, now: datetime) -> dict[str, Any]:
    """A run as JSON. `rate`: items a second; `remaining`: seconds, as far as that can be told."""
    times = {"created": run.created_at, "started": run.started_at, "finished": run.finished_at}
    return {
        "id": str(run.pk),
        "kind": run.kind,
        "profile": run.profile,
        "dryRun": run.dry,
        "state": run.asked or run.state,
        "progress": progress(run, now=now),
        "counts": {
            "created": run.created, "updated": run.updated, "unchanged": run.unchanged, "retracted": run.retracted,
            "waiting": run.unmatched, "refused": run.refused_items,
        },
        "sha256": run.sha256,
        "problems": run.problems,
    } | {name: at.isoformat(timespec="seconds") for name, at in times.items() if at}  # fmt: skip


def progress(run: ImportRun, *, now: datetime) -> dict[str, Any]:
    """How far it came: items, percent, items a second, seconds that remain (None: not known)."""
    until = run.finished_at or now
    seconds = (until - run.started_at).total_seconds() if run.started_at else 0.0
    rate = round(run.done / seconds, 1) if seconds > 0 and run.done else None
    left = run.total - run.done
    return {
        "done": run.done,
        "total": run.total or None,
        "percent": round(100 * run.done / run.total, 1) if run.total else (100.0 if run.finished_at else 0.0),
        "rate": rate,
        "remaining": round(left / rate) if rate and left and not run.finished_at else None,
    }


def _asked(request: HttpRequest) -> dict[str, str]:
    asked: dict[str, str] = {}
    for name, value in wire.asked(request):
        if name not in ASKED or name in asked:
            raise Problem(400, "invalid", "知らない、または重なったパラメータです。Unknown, or given twice.", name[:64])
        asked[name] = value
    if asked.get("dryRun", "false") not in ("true", "false"):
        raise Problem(400, "invalid", "true か false です。Expected true or false.", "dryRun")
    if len(asked.get("name", "")) > LONGEST_NAME:
        raise Problem(400, "invalid", f"{LONGEST_NAME} 文字までです。Up to {LONGEST_NAME} characters.", "name")
    return asked


def _pieces(request: HttpRequest, feed: Feed, name: str) -> Iterator[Piece]:
    """The body as it comes in; nothing of it is held."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):  # its boundaries would be read as lines of the file
        raise Problem(415, "not-supported", "ファイルをそのまま本文で送ってください。Send the file itself as the body.")
    if kind == JSON:
        return iter(_parts(wire.json_body(request).get("parts")))
    size = request.headers.get("Content-Length", "")
    length = int(size) if size.isascii() and size.isdigit() and len(size) < 16 else 0
    if length > feed.MAX_BYTES:
        raise taking.TooLarge
    if not length:
        raise Problem(400, "invalid", "本文がありません。The body is empty.")
    return iter([Piece(name or "body", io.BufferedReader(_Body(request)))])


class _Body(io.RawIOBase):
    """A request's body, read forward."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__()
        self._request = request

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        content = self._request.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def _parts(given: object) -> list[Piece]:
    if not isinstance(given, list) or not given:
        raise Problem(400, "invalid", "parts は 1 個以上の配列です。Expected a list of parts.", "parts")
    if len(given) > accepting.MOST_PARTS:
        raise taking.TooLarge
    pieces = []
    for place, one in enumerate(given):
        at = f"parts[{place}]"
        name = one.get("name", f"part-{place + 1}") if isinstance(one, dict) else None
        if not isinstance(one, dict) or one.keys() - {"name", "data"} or not isinstance(name, str):
            raise Problem(400, "invalid", "name と data のオブジェクトです。Expected name and data.", at)
        if len(name) > LONGEST_NAME:
            raise Problem(
                400, "invalid", f"{LONGEST_NAME} 文字までです。Up to {LONGEST_NAME} characters.", f"{at}.name"
            )
        name = name.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
        pieces.append(Piece(name, io.BytesIO(base64_bytes(one.get("data"), f"{at}.data"))))
    return pieces
