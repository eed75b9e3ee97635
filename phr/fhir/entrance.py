"""The FHIR paths are answered before sessions, languages, CSRF and messages: an API with bearer tokens needs none
of them (decisions/answered-at-the-entrance.md).
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import resolve

PREFIX = "/fhir"
DISCOVERY = "/fhir/.well-known/"  # answered by phr.smart


def entrance(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: everything at or below /fhir goes straight to its view, which answers every error itself."""

    def answer(request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if (path != PREFIX and not path.startswith(f"{PREFIX}/")) or path.startswith(DISCOVERY):
            return get_response(request)
        match = resolve(f"/{path.removeprefix(PREFIX)}", "phr.fhir.urls")
        request.resolver_match = match
        response: HttpResponse = match.func(request, *match.args, **match.kwargs)
        bare = response.status_code in (204, 304)  # RFC 9110 §8.6: no length of what is not sent
        if not bare and not response.streaming and "Content-Length" not in response:
            response["Content-Length"] = str(len(response.content))
        return response

    return answer
