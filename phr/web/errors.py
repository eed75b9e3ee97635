"""Error pages for people. The REST door answers with OperationOutcome and never comes here."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from phr.web.pages import page, problem


@page
def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem(request, _("この依頼は読み取れませんでした。"), status=400)


@page
def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem(request, _("この操作はできません。"), status=403)


@page
def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    detail = _("ページを開き直して、もう一度お試しください。")
    return problem(request, _("ページの有効期限が切れました。"), status=403, detail=detail)


@page
def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem(request, _("ページが見つかりません。"), status=404)


@page
def server_error(request: HttpRequest) -> HttpResponse:
    detail = _("しばらくしてから、もう一度お試しください。")
    return problem(request, _("こちらの不具合で表示できませんでした。"), status=500, detail=detail)
