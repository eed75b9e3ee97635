"""The pages of an authorization: whose record, what the app asks, until when; allow or refuse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from consent.models import Person
from phr.smart import attempts, ehr, launches, step_up
from phr.smart import authorize as deeds
from phr.smart.attempts import Door, TooMany
from phr.smart.authorize import Fatal, Sent
from phr.smart.launches import Proof, Role
from phr.smart.models import AuthorizationRequest
from phr.smart.step_up import StepUpNeeded
from phr.web import wording
from phr.web.names import born, name_of
from phr.web.pages import origin, page, policy, problem, signed_in
from phr.web.sign_in import too_many, wait_a_little


class AwayRedirect(HttpResponseRedirect):
    """To the app's registered address, whatever its scheme (it was checked when it was registered)."""

    def __init__(self, url: str) -> None:
        scheme = url.partition(":")[0]
        self.allowed_schemes = [scheme]
        super().__init__(url)


@csrf_exempt  # the request comes from the app's page; it only asks, and decides nothing
@page
@require_http_methods(["GET", "POST"])
def authorize(request: HttpRequest) -> HttpResponse:
    """The app's request, by GET or POST. Checked, kept, and then shown to the person signed in."""
    given, now = request.GET if request.method == "GET" else request.POST, timezone.now()
    try:
        attempts.begin(Door.AUTHORIZE, now=now, address=attempts.address_of(request))
        checked = deeds.check(dict(given.lists()))
    except TooMany as many:
        return too_many(problem(request, wait_a_little(), status=429), many)
    except Fatal as fatal:
        return problem(request, _("アプリからの依頼を受け付けられません。"), status=400, detail=str(fatal))
    except Sent as sent:
        return AwayRedirect(sent.url)
    if not isinstance(request.user, Person) or not step_up.satisfied(
        request, acr=step_up.at_least(checked.acr), max_age=checked.max_age, now=now
    ):
        return HttpResponseRedirect(_proving(checked, given.dict()))
    try:
        asked = deeds.begin(checked, by=request.user, now=now)
    except Sent as sent:
        return AwayRedirect(sent.url)
    return HttpResponseRedirect(f"/oauth/authorize/{asked.pk}")


def _proving(checked: deeds.Checked, given: Mapping[str, object]) -> str:
    """Where the person proves who she is, and comes back to the same request: just proved is lately enough.

    Nobody is signed out by a request: any site can send one. prompt=login asks her anew as max_age=0 does.
    """
    kept = {name: value for name, value in given.items() if name in deeds.READ and name != "prompt"}
    if checked.max_age is not None:
        kept["max_age"] = str(checked.max_age)
    return step_up.page_url(
        acr=step_up.at_least(checked.acr), max_age=checked.max_age, next="/oauth/authorize?" + urlencode(kept)
    )


@page
@signed_in
@require_http_methods(["GET", "POST"])
def decide(request: HttpRequest, id: UUID) -> HttpResponse:
    """Choose a record if there are several, then allow or refuse. The form names a choice, nothing else counts."""
    assert isinstance(request.user, Person)
    now, person = timezone.now(), request.user
    try:
        if request.method == "POST":
            allowed = request.POST.get("decision") == "allow"
            url = (
                deeds.approve(
                    id,
                    role=request.POST.get("role", ""),
                    encounter=request.POST.get("encounter", ""),
                    by=person,
                    proof=_proof(request),
                    now=now,
                )
                if allowed
                else deeds.deny(id, by=person, now=now)
            )
            return AwayRedirect(url)
        return _show(request, deeds.pending(id, by=person, now=now), person)
    except StepUpNeeded as needed:
        here = f"/oauth/authorize/{id}"
        return HttpResponseRedirect(step_up.page_url(acr=needed.acr, max_age=needed.max_age, next=here))
    except Fatal as fatal:
        return problem(request, _("この依頼は続けられません。"), status=400, detail=str(fatal))


def _proof(request: HttpRequest) -> Proof:
    """How well the person at this browser has proved who she is."""
    return Proof(*step_up.of_session(request))


def _show(request: HttpRequest, asked: AuthorizationRequest, person: Person) -> HttpResponse:
    now = timezone.now()
    roles = deeds.roles(asked, now=now)
    if not roles:
        return _nothing_to_open(request, asked)
    chosen = next(
        (role for role in roles if role.key == request.GET.get("role")), roles[0] if len(roles) == 1 else None
    )
    if chosen is None:
        told = [_told(role, person) for role in roles]
        return _towards_the_app(render(request, "web/pick.html", {"asked": asked, "roles": told}), asked)
    scope = deeds.scopes_of(asked)
    context = {
        "asked": asked, "chosen": _told(chosen, person), "several": len(roles) > 1,
        "lines": wording.lines(scope), "ends_at": now + launches.life(" ".join(scope)),
        "encounters": _encounters(asked, chosen, person, now), "asks_encounter": deeds.asks_encounter(asked),
        "app": asked.application.name, "site": origin(asked.parameters["redirect_uri"]),
    }  # fmt: skip
    return _towards_the_app(render(request, "web/consent.html", context), asked)


def _encounters(asked: AuthorizationRequest, role: Role, person: Person, now: datetime) -> list[dict[str, object]]:
    """What may be chosen, if the app asks for an encounter."""
    found = ehr.encounters(role, person, now=now) if deeds.asks_encounter(asked) else []
    return [{"id": id, "on": date.fromisoformat(day) if len(day) == 10 else None} for id, day in found]


def _nothing_to_open(request: HttpRequest, asked: AuthorizationRequest) -> HttpResponse:
    detail = _("あなた自身の記録も、確認ずみの保護者としての登録も、見つかりませんでした。")
    told = problem(request, _("このアプリに開ける記録がありません。"), status=403, detail=detail, refusable=True)
    return _towards_the_app(told, asked)


def _towards_the_app(answer: HttpResponse, asked: AuthorizationRequest) -> HttpResponse:
    """Chromium applies form-action to the redirect after a form, so the app's address must be named."""
    answer["Content-Security-Policy"] = policy(origin(asked.parameters["redirect_uri"]))
    return answer


def _told(role: Role, person: Person) -> dict[str, str]:
    return {
        "key": role.key,
        "name": name_of(role, person, now=timezone.now()),
        "born": born(role.birth_on),
        "acting": wording.acting_as(role),
    }
