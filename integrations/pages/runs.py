"""Staff bring files in: choose a file and its kind, read the report of the dry run, go on; see what became of it."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from consent.models import Organization
from integrations import base, steering, taking
from integrations.feed_views import progress
from integrations.items import Feed, Piece
from integrations.models import ImportRun, Unlinked
from integrations.pages import frame, uploads
from phr.records.gateway import Forbidden

State = ImportRun.State
SHOWN, PROBLEMS = 50, 200
OPEN = (State.ACCEPTED, State.RUNNING)
DEEDS = {"pause": steering.pause, "resume": steering.resume, "cancel": steering.cancel, "proceed": steering.proceed}
# What may be done in which state, in the order of the buttons
BUTTONS: dict[str, tuple[str, ...]] = {
    State.REPORTED: ("proceed", "cancel"), State.ACCEPTED: ("pause", "cancel"), State.RUNNING: ("pause", "cancel"),
    State.PAUSED: ("resume", "cancel"),
}  # fmt: skip


@frame.staff
@require_GET
def runs(request: HttpRequest) -> HttpResponse:
    """What the organisation has brought in, the newest first."""
    caller = frame.caller(request)
    found = ImportRun.objects.filter(organization=caller.organization, subject=None).order_by("-created_at")[:SHOWN]
    waiting = Unlinked.objects.filter(organization=caller.organization, state=Unlinked.State.WAITING).count()
    context = {
        "office": frame.office(request), "runs": [_told(run) for run in found], "waiting": waiting,
        "sends": bool(_choices(_organization(request))),
    }  # fmt: skip
    return render(request, "imports/runs.html", context)


@csrf_exempt  # the form is read only after the handler below is in place
@frame.staff
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form for a file; every file is tried first."""
    held = uploads.Held()
    request.upload_handlers = [held]
    return _new(request, held)  # type: ignore[no-any-return]


@csrf_protect
def _new(request: HttpRequest, held: uploads.Held) -> HttpResponse:
    choices = _choices(_organization(request))
    if not choices:
        raise Http404
    if request.method == "GET":
        return _form(request, choices)
    feed, profile = choices.get(request.POST.get("what", ""), (None, ""))
    file = request.FILES.get("file")
    if held.too_large:
        return _form(request, choices, _("ファイルが大きすぎます。大きいものは API かコマンドで取り込みます。"), 413)
    if feed is None:
        return _form(request, choices, _("種類を選んでください。"), 422)
    if file is None or not file.size:
        return _form(request, choices, _("ファイルを選んでください。"), 422)
    try:
        run = taking.take(
            feed, [Piece(file.name or "file", io.BytesIO(file.read()))], organization=_organization(request),
            by=frame.caller(request), now=frame.now(), profile=profile, dry=True,
        )  # fmt: skip
    except taking.TooMany:
        return _form(request, choices, _("進行中の取り込みが多すぎます。終わってからお試しください。"), 429)
    except (taking.TooLarge, Forbidden):
        return _form(request, choices, _("このファイルは受け付けられません。"), 422)
    return HttpResponseRedirect(reverse("import-page", args=[run.pk]))


def _form(request: HttpRequest, choices: dict[str, Any], fault: str = "", status: int = 200) -> HttpResponse:
    context = {
        "choices": [
            (key, _named(feed.KIND), feed.profiles().get(profile, "")) for key, (feed, profile) in choices.items()
        ],
        "fault": fault, "most": uploads.MOST >> 20, "chosen": request.POST.get("what", ""),
    }  # fmt: skip
    return render(request, "imports/new.html", context, status=status)


def _choices(organization: Organization) -> dict[str, tuple[Feed, str]]:
    """What this organisation may send: feeds, each with its profiles."""
    return {
        f"{feed.KIND}/{profile}": (feed, profile)
        for feed in base.feeds().values() if organization.kind in feed.SENDERS
        for profile in (sorted(feed.profiles()) or [""])
    }  # fmt: skip


def _organization(request: HttpRequest) -> Organization:
    role = frame.office(request)
    assert role is not None and role.organization is not None
    return role.organization


@frame.staff
@require_GET
def show(request: HttpRequest, id: UUID) -> HttpResponse:
    """One run: how far it is, what came of it, what was noticed where, and what may be done now."""
    run = taking.visible(id, by=frame.caller(request), now=frame.now())
    if run is None:
        raise Http404
    told = _told(run)
    answer = render(request, "imports/run.html", {"run": run, "told": told, "problems": _problems(run)})
    if run.state in OPEN:
        answer["Refresh"] = "3"
    return answer


@frame.staff
@require_POST
def steer(request: HttpRequest, id: UUID, deed: str) -> HttpResponse:
    """Pause, resume, cancel, proceed; back to the run."""
    if deed not in DEEDS:
        raise Http404
    DEEDS[deed](run=id, by=frame.caller(request), now=frame.now())
    return HttpResponseRedirect(reverse("import-page", args=[id]))


def _told(run: ImportRun) -> dict[str, Any]:
    """A run as pages show it."""
    state = run.asked or run.state
    return {
        "id": run.pk, "kind": _named(run.kind), "profile": run.profile, "dry": run.dry, "state": state,
        "words": _state(state, run.dry), "at": run.created_at, "progress": progress(run, now=frame.now()),
        "buttons": [(deed, _deed(deed)) for deed in BUTTONS.get(run.state, ()) if not run.asked],
        "counts": [
            (_("新しく記録"), run.created), (_("更新"), run.updated), (_("変わりなし"), run.unchanged),
            (_("取り消し"), run.retracted), (_("本人の確認待ち"), run.unmatched),
            (_("取り込めない行"), run.refused_items),
        ],
    }  # fmt: skip


def _problems(run: ImportRun) -> list[dict[str, Any]]:
    """Each with its place and one sentence, those that stop something first."""
    order = {"error": 0, "warning": 1, "information": 2}
    severities = {"error": _("誤り"), "warning": _("注意"), "information": _("お知らせ")}
    english = get_language() == "en"
    found = sorted(run.problems, key=lambda p: (order.get(p["severity"], 3), p.get("line", 0)))
    return [
        {"severity": p["severity"], "word": severities.get(p["severity"], ""), "text": p["en" if english else "ja"],
         "place": _place(p)}
        for p in found[:PROBLEMS]
    ]  # fmt: skip


def _place(problem: dict[str, Any]) -> str:
    parts = [_("%(n)s行目") % {"n": problem["line"]}] if "line" in problem else []
    parts += [_("%(n)s列目") % {"n": problem["field"]}] if "field" in problem else []
    return " ".join(parts)


def _named(kind: str) -> str:
    return {
        "municipal-csv": _("市町村のCSV"), "school-csv": _("学校健康診断のCSV"), "receipts": _("レセプト"),
        "ssmix2": _("SS-MIX2 標準化ストレージ"), "hl7": "HL7 v2.5", "jahis-qr": "JAHIS QR",
    }.get(kind, kind)  # fmt: skip


def _state(state: str, dry: bool) -> str:
    if state == State.RUNNING:
        return _("確かめています") if dry else _("取り込んでいます")
    return {
        State.ACCEPTED: _("順番を待っています"), State.REPORTED: _("確認が終わりました。まだ何も記録していません"),
        State.PAUSED: _("一時停止中"), State.CANCELLED: _("中止しました"), State.DONE: _("終わりました"),
        State.REFUSED: _("取り込めませんでした"), State.FAILED: _("途中で失敗しました"),
    }.get(State(state), state)  # fmt: skip


def _deed(deed: str) -> str:
    return {
        "proceed": _("この内容で取り込む"), "pause": _("一時停止する"), "resume": _("続ける"), "cancel": _("中止する"),
    }[deed]  # fmt: skip
