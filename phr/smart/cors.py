"""Cross-origin access (Fetch standard): public documents for anyone, endpoints for registered origins. No cookies."""

from __future__ import annotations

from typing import TypeVar

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from phr.smart.models import Application

Answer = TypeVar("Answer", bound=HttpResponseBase)
CONDITIONS = "If-Match, If-None-Match, If-Modified-Since, If-None-Exist"
HEADERS = f"Authorization, Content-Type, Accept, {CONDITIONS}, Prefer, X-Request-Id"
EXPOSED = "ETag, Location, Content-Location, Last-Modified, WWW-Authenticate, X-Request-Id"
METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"


def registered(origin: str) -> bool:
    """Whether an active application registered exactly this origin (scheme, host, port)."""
    if not origin or len(origin) > 300 or " " in origin or "\x00" in origin:
        return False
    rows = Application.objects.filter(is_active=True, allowed_origins__contains=origin)
    return any(origin in row.split() for row in rows.values_list("allowed_origins", flat=True))


def for_registered(request: HttpRequest, answer: Answer) -> Answer:
    """Let a registered origin read the answer; others get no CORS header at all."""
    origin = request.headers.get("Origin", "")
    answer["Vary"] = "Origin"
    if registered(origin):
        answer["Access-Control-Allow-Origin"] = origin
        answer["Access-Control-Allow-Methods"] = METHODS
        answer["Access-Control-Allow-Headers"] = HEADERS
        answer["Access-Control-Expose-Headers"] = EXPOSED
        answer["Access-Control-Max-Age"] = "600"
    return answer


def for_anyone(answer: HttpResponse) -> HttpResponse:
    """A public document."""
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
    answer["Access-Control-Allow-Headers"] = HEADERS
    return answer
