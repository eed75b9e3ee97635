"""What every page has in common: the policy headers, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language

from consent.refusal import Refusal
from phr.smart import step_up

View = Callable[..., HttpResponse]


def policy(*form_targets: str) -> str:
    """Content-Security-Policy: our own style sheet, no script at all, forms to us and to `form_targets`."""
    targets = " ".join(["'self'", *form_targets])
    return (
        f"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action {targets}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


def page(view: View) -> View:
    """A page of ours: never kept by a cache, never framed, no referrer to other sites."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = view(request, *args, **kwargs)
        answer.setdefault("Content-Security-Policy", policy())
        answer.setdefault("Cache-Control", "no-store")
        return answer

    return wrapped


def signed_in(view: View) -> View:
    """Somebody must be signed in, as well as this server asks of readers (PHR_ACR_READ)."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        acr = step_up.to_read()
        if step_up.satisfied(request, acr=acr, max_age=None, now=timezone.now()):
            return view(request, *args, **kwargs)
        target = request.get_full_path() if request.method == "GET" else "/"
        return HttpResponseRedirect(step_up.page_url(acr=acr, max_age=None, next=target))

    return wrapped


def said(refusal: Refusal) -> str:
    """A deed says why in both languages, on one line; a page says it in its own."""
    japanese, _bar, english = refusal.why.partition(" / ")
    return english if english and get_language() == "en" else japanese


def origin(uri: str) -> str:
    """What CSP calls the target of a redirect: an origin, or the scheme of an app."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def problem(
    request: HttpRequest, message: str, *, status: int, detail: str = "", refusable: bool = False
) -> HttpResponse:
    """The error page: what happened and what to do, in plain words. `refusable`: with a way back to the app."""
    context = {"message": message, "detail": detail, "refusable": refusable}
    return render(request, "web/problem.html", context, status=status)
