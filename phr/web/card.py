"""The card's pages: off to the provider, and back. What was asked is kept in the browser's own session, used once."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from consent import audit
from consent.audit import Event
from consent.models import Person
from consent.refusal import Refusal
from phr.smart import attempts, cards, oidc_login
from phr.smart.attempts import Door, TooMany
from phr.smart.oidc_login import CardDeclined, CardRefused, Proved, ProviderFailed
from phr.web import session
from phr.web.pages import page, problem, said, signed_in
from phr.web.security import HERE, guarded_by_the_card
from phr.web.sign_in import Ask, ask_of, go_on, too_many, wait_a_little

log = logging.getLogger(__name__)


@page
@require_GET
def begin(request: HttpRequest) -> HttpResponse:
    """Sign in, or step up, with the card."""
    known = session.asked_of(request, now=timezone.now())
    return _off(request, "prove" if known else "sign-in", known)


@page
@require_GET
@signed_in
@guarded_by_the_card
def link(request: HttpRequest) -> HttpResponse:
    """Link a card to the account of the person signed in, who has just proved who she is."""
    assert isinstance(request.user, Person)
    return _off(request, "link", request.user)


@page
@require_POST
@signed_in
@guarded_by_the_card
def unlink(request: HttpRequest) -> HttpResponse:
    """The card opens this account no more."""
    assert isinstance(request.user, Person)
    try:
        cards.unlink(by=request.user, now=timezone.now())
    except Refusal as refusal:
        return problem(request, said(refusal), status=404)
    return HttpResponseRedirect(HERE)


def _off(request: HttpRequest, purpose: str, person: Person | None) -> HttpResponse:
    if not oidc_login.configured():
        return problem(request, _("このサーバーではカードを使えません。"), status=404)
    ask = ask_of(request)
    try:
        question, url = oidc_login.ask(now=timezone.now())
    except ProviderFailed as failed:
        return _unreachable(request, failed)
    request.session["card"] = {
        "question": question.kept(), "purpose": purpose, "person": person.pk if person else None,
        "acr": ask.acr, "max_age": ask.max_age, "target": ask.target,
    }  # fmt: skip
    return HttpResponseRedirect(url)


@page
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """The answer of the provider. The question is gone with the first answer, right or wrong."""
    now = timezone.now()
    kept: dict[str, Any] = request.session.pop("card", None) or {}
    if not oidc_login.configured():
        return problem(request, _("このサーバーではカードを使えません。"), status=404)
    try:
        proved = _proved(request, kept.get("question"), now)
    except TooMany as many:
        return too_many(problem(request, wait_a_little(), status=429), many)
    except CardDeclined:
        return problem(request, _("カードでの確認は行われませんでした。"), status=400, detail=_again())
    except ProviderFailed as failed:
        return _unreachable(request, failed)
    except CardRefused as refused:
        log.warning("card sign-in refused: %s", refused)
        audit.record(Event.PERSON_SIGN_IN_FAILED, by=None, now=now, detail={"method": "card"})
        return problem(request, _("カードでの確認を受け付けられませんでした。"), status=400, detail=_again())
    return _welcome(request, kept, proved)


def _proved(request: HttpRequest, question: dict[str, Any] | None, now: datetime) -> Proved:
    """Only an answer to our question that brings a code to redeem is a try: others of the address lose nothing by
    empty answers and by those who turned back. Raises TooMany, and what `oidc_login.answered` raises.
    """
    told = dict(request.GET.lists())
    tried = None
    if oidc_login.ours(question, told) and "error" not in told:
        tried = attempts.begin(Door.CARD, now=now, address=attempts.address_of(request))
    proved = oidc_login.answered(question, told, now=now)
    if tried is not None:
        attempts.succeeded(tried)
    return proved


def _welcome(request: HttpRequest, kept: dict[str, Any], proved: Proved) -> HttpResponse:
    """What the card was read for, and by whom: both were fixed before the browser left."""
    now, ask = timezone.now(), Ask(kept["acr"], kept["max_age"], kept["target"])
    known = session.asked_of(request, now=now)
    if (known.pk if known else None) != kept["person"]:
        return problem(request, _("途中でサインインの状態が変わりました。"), status=400, detail=_again())
    if kept["purpose"] == "link":
        assert known is not None
        try:
            cards.link(proved, by=known, now=now)
        except Refusal as refusal:
            return problem(request, said(refusal), status=409)
    person = cards.person_of(proved, now=now)
    if person is None or (known is not None and person.pk != known.pk):
        audit.record(Event.PERSON_SIGN_IN_FAILED, by=known, now=now, detail={"method": "card"})
        detail = _("先にサインインして、「サインインと安全」でカードをつないでください。")
        return problem(request, _("このカードは、このアカウントにつながっていません。"), status=403, detail=detail)
    # Linking proves that whoever is here holds a card, not that it is hers: that is for the next time it is read.
    acr = "aal2" if kept["purpose"] == "link" else proved.acr
    session.begin(request, person, acr=acr, at=proved.at, method="card", now=now)
    onward = HttpResponseRedirect(HERE) if kept["purpose"] == "link" and not ask.acr else go_on(request, ask, now)
    return session.remember(request, onward, person, now=now)


def _again() -> str:
    return _("はじめから、もう一度お試しください。")


def _unreachable(request: HttpRequest, failed: ProviderFailed) -> HttpResponse:
    log.warning("card provider: %s", failed)
    detail = _("時間をおいて試すか、ほかの方法をお使いください。")
    return problem(request, _("カードの確認サービスにつながりません。"), status=503, detail=detail)
