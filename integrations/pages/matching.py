"""The queue of people nobody has linked yet: staff look at candidates and link, use a family's code, or dismiss."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from consent.refusal import Absent
from integrations import linking
from integrations.linking import Candidate, Case
from integrations.pages import frame

MOST = 50


@frame.staff
@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    """Who waits, the oldest first."""
    after = request.GET.get("after", "0")
    cases = linking.waiting_cases(
        by=frame.caller(request), now=frame.now(), after=int(after) if _number(after) else 0, most=MOST
    )
    last = cases[-1].id if len(cases) == MOST else None
    return render(request, "imports/queue.html", {"cases": [_told(case) for case in cases], "next": last})


@frame.staff
@require_GET
def case(request: HttpRequest, id: int) -> HttpResponse:
    """One of them, with the Patients it may be."""
    return _case(request, id)


def _case(request: HttpRequest, id: int, fault: str = "", status: int = 200) -> HttpResponse:
    caller, at = frame.caller(request), frame.now()
    found = [one for one in linking.waiting_cases(by=caller, now=at, after=id - 1, most=1) if one.id == id]
    if not found:
        raise Http404
    candidates = [_candidate(one) for one in linking.candidates(case=id, by=caller, now=at)]
    context = {"case": _told(found[0]), "candidates": candidates, "fault": fault, "acr": settings.PHR_ACR_DEEDS}
    return render(request, "imports/case.html", context, status=status)


def _back(id: int) -> str:
    return reverse("import-case", args=[id])


@frame.staff
@require_POST
@frame.proved(_back)
def link(request: HttpRequest, id: int) -> HttpResponse:
    """She is this Patient."""
    try:
        subject = UUID(request.POST.get("subject", ""))
    except ValueError:
        raise Http404 from None
    linking.link(case=id, subject=subject, by=frame.caller(request), now=frame.now())
    return HttpResponseRedirect(reverse("import-queue"))


@sensitive_post_parameters("code")
@frame.staff
@require_POST
@frame.proved(_back)
def link_by_code(request: HttpRequest, id: int) -> HttpResponse:
    """She showed a code."""
    caller, at = frame.caller(request), frame.now()
    found = [one for one in linking.waiting_cases(by=caller, now=at, after=id - 1, most=1) if one.id == id]
    if not found:
        raise Http404
    identity = found[0].identity
    try:
        linking.use_code(
            system=identity.system, value=identity.value, code=request.POST.get("code", "")[:64], by=caller, now=at
        )
    except Absent:
        return _case(request, id, _("このコードは使えません。ご家族に新しいコードを作ってもらってください。"), 422)
    return HttpResponseRedirect(reverse("import-queue"))


@frame.staff
@require_POST
def dismiss(request: HttpRequest, id: int) -> HttpResponse:
    """She is nobody here."""
    linking.dismiss(case=id, by=frame.caller(request), now=frame.now())
    return HttpResponseRedirect(reverse("import-queue"))


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _told(case: Case) -> dict[str, Any]:
    identity = case.identity
    return {
        "id": case.id, "number": identity.value, "name": identity.name, "kana": identity.kana,
        "born": identity.birth_date, "sex": _sex(identity.gender), "items": case.items, "since": case.since,
        "hidden": identity.not_disclosed,
    }  # fmt: skip


def _sex(gender: str) -> str:
    return {"male": _("男"), "female": _("女")}.get(gender, "")


def _candidate(one: Candidate) -> dict[str, Any]:
    names = [name for name in one.patient.get("name", []) if isinstance(name, dict)]
    grades = {"certain": _("ほぼ確実"), "probable": _("可能性が高い"), "possible": _("可能性がある")}
    return {
        "subject": one.subject, "names": [text for name in names if (text := _text(name))],
        "born": one.patient.get("birthDate", ""), "sex": _sex(one.patient.get("gender", "")),
        "grade": grades.get(one.grade, one.grade), "score": one.score,
    }  # fmt: skip


def _text(name: dict[str, Any]) -> str:
    return str(name.get("text") or " ".join([name.get("family", ""), *name.get("given", [])]).strip())
