"""Errors at the edge: one translator turns what was refused into an OperationOutcome.

What is not anticipated here stays a 500 (its outcome says nothing of the inside).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.db import IntegrityError, OperationalError
from django.http import HttpResponse

from consent import keys
from consent.audit import AuditUnavailable
from phr.caller import Unauthenticated
from phr.records import gateway
from phr.records.body import Malformed
from phr.records.search.parse import BadSearch
from phr.records.vault import CannotOpen
from phr.smart.step_up import StepUpNeeded

log = logging.getLogger("phr.fhir")
FHIR_JSON = "application/fhir+json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of an OperationOutcome. `code` from http://hl7.org/fhir/issue-type."""

    code: str
    diagnostics: str
    expression: str = ""
    severity: str = "error"

    def as_fhir(self) -> dict[str, object]:
        issue: dict[str, object] = {"severity": self.severity, "code": self.code, "diagnostics": self.diagnostics}
        return issue | ({"expression": [self.expression]} if self.expression else {})


KEPT = (
    "Patient はこの API では削除できません。記録の消去には別の手続きがあります。"
    "A Patient is not deleted through this API: to erase a record is a procedure of its own."
)


class Problem(Exception):
    """A refusal of the REST door itself: HTTP status and issue."""

    def __init__(self, status: int, code: str, diagnostics: str, expression: str = "", **headers: str) -> None:
        super().__init__(diagnostics)
        self.status = status
        self.issues = (Issue(code, diagnostics, expression),)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class InEntry(Exception):
    """A refusal inside a Bundle, with the place of its entry."""

    def __init__(self, position: int, cause: Exception) -> None:
        super().__init__(str(cause))
        self.position = position
        self.cause = cause


def explain(error: Exception) -> tuple[int, Sequence[Issue]]:
    """HTTP status and issues for a refusal. Anything unknown is a 500 and is logged by its type only."""
    match error:
        case InEntry():
            status, issues = explain(error.cause)
            return status, [Issue(i.code, i.diagnostics, _inside(error.position, i.expression)) for i in issues]
        case Problem():
            return error.status, error.issues
        case gateway.Invalid():
            status = 422 if isinstance(error, gateway.Spoilt) else 400
            return status, [Issue(p.code, p.diagnostics, p.expression, p.severity) for p in error.problems]
        case gateway.Unprocessable() | gateway.OtherId() | gateway.TooLarge():
            status, code = _PLACED[type(error)]
            return status, [Issue(code, str(error), error.expression)]
        case gateway.NotYours():
            return 405, [Issue("not-supported", _ids(error.prefix))]
        case BadSearch():
            told = f"パラメータ {error.parameter} の指定は受け付けられません。{error}"
            return 400, [Issue("invalid", told, f"http.{error.parameter}")]
        case IntegrityError():
            return 409, [Issue("conflict", _unkept(error))]
    for kind, (status, code, text) in _PLAIN.items():
        if isinstance(error, kind):
            return status, [Issue(code, text or str(error))]
    log.error("unanticipated %s", type(error).__name__, exc_info=error)
    return 500, [Issue("exception", "内部エラーが起きました。Something went wrong inside the server.")]


def _unkept(error: IntegrityError) -> str:
    """What the database itself refuses, as late as the COMMIT. Its own words name rows, so they go nowhere."""
    told = getattr(error.__cause__, "diag", None)
    log.error("the database refused a write: %s", getattr(told, "constraint_name", None))
    return "他の記録と矛盾するため保存できません。It does not fit what else is stored; nothing was changed."


def _ids(prefix: str) -> str:
    """Hidden or absent alike: which new ids this caller may give (R4 http.html §3.1.0.4.1)."""
    if not prefix:
        return "この型の id はサーバーが付けます。This server gives the ids of this type."
    return f"新しい id は {prefix} で始めてください。A new id of yours begins with {prefix}"


def _inside(position: int, expression: str) -> str:
    """A place within an entry: of its resource (`Observation.status`) or of the entry itself (`request.url`)."""
    place = f"Bundle.entry[{position}]"
    first, dot, rest = expression.partition(".")
    if first[:1].isupper():
        return f"{place}.resource{dot}{rest}"
    if first == "http":  # a search inside an entry
        return f"{place}.request"
    return f"{place}.{expression}" if expression else place


_PLACED: dict[type[Exception], tuple[int, str]] = {
    gateway.Unprocessable: (422, "business-rule"),
    gateway.OtherId: (400, "invalid"),
    gateway.TooLarge: (413, "too-long"),
}
# The text is the exception's own only where it can say nothing of what exists.
_PLAIN: dict[type[Exception], tuple[int, str, str]] = {
    Unauthenticated: (401, "login", ""),
    StepUpNeeded: (401, "login", ""),
    gateway.Forbidden: (403, "forbidden", ""),
    gateway.Refused: (404, "not-found", "見つかりません。Not found."),
    keys.Erased: (404, "not-found", "見つかりません。Not found."),  # while it was being written
    gateway.NotFound: (404, "not-found", "見つかりません。Not found."),
    gateway.Gone: (410, "deleted", "削除されています。Deleted."),
    gateway.Kept: (405, "not-supported", KEPT),
    gateway.Conflict: (409, "conflict", ""),
    gateway.PreconditionFailed: (412, "conflict", ""),
    gateway.Ambiguous: (412, "multiple-matches", ""),
    gateway.TooCostly: (422, "too-costly", ""),
    Malformed: (400, "structure", ""),
    RequestDataTooBig: (413, "too-long", "本文が大きすぎます。The body is larger than this server accepts."),
    AuditUnavailable: (503, "transient", "アクセス記録を書けないため提供できません。The access log cannot be written."),
    OperationalError: (503, "transient", "一時的に利用できません。Temporarily unavailable."),
    CannotOpen: (500, "exception", "この記録を開けません。This record cannot be opened."),
}


def as_json(issues: Sequence[Issue]) -> bytes:
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [i.as_fhir() for i in issues]})


def response(error: Exception) -> HttpResponse:
    """The OperationOutcome response for a refusal."""
    status, issues = explain(error)
    answer = HttpResponse(as_json(issues), status=status, content_type=FHIR_JSON)
    if isinstance(error, Unauthenticated):
        challenge = 'Bearer realm="fhir"' + (f', error="{error.error}"' if error.error else "")
        answer["WWW-Authenticate"] = challenge
    asked = error.cause if isinstance(error, InEntry) else error
    if isinstance(asked, StepUpNeeded):  # RFC 9470 §3
        answer["WWW-Authenticate"] = (
            f'Bearer realm="fhir", error="insufficient_user_authentication", acr_values="{asked.acr}",'
            f' max_age="{asked.max_age}"'
        )
    if isinstance(error, gateway.NotYours):
        answer["Allow"] = "GET, HEAD"
    if isinstance(error, gateway.Kept):
        answer["Allow"] = "GET, HEAD, PUT, PATCH"
    if isinstance(error, CannotOpen):
        log.critical("a stored body does not open")
    if isinstance(error, Problem):
        for name, value in error.headers.items():
            answer[name] = value
    return answer
