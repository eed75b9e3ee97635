"""Counts requests and how long they took, by route, method and status. Never by path: ids are in it.

Each web process counts for itself. With PROMETHEUS_MULTIPROC_DIR (an empty folder that they share) they count together.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from django.http import HttpRequest, HttpResponse
from prometheus_client import Counter, Histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REQUESTS = Counter("tsumugi_requests", "Requests answered.", ["route", "method", "status"])
SECONDS = Histogram("tsumugi_request_seconds", "Until the answer began.", ["route"], buckets=BUCKETS)


def counted(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, the outermost."""

    def answer(request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        response = get_response(request)
        match = request.resolver_match
        route = (match.url_name or "unnamed") if match else "none"
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(route, method, str(response.status_code)).inc()
        SECONDS.labels(route).observe(perf_counter() - began)
        return response

    return answer
