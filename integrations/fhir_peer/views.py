"""What peers find here (our public keys, the door for a one-time code), and the page where a family links with one."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from consent.decide import Capacity
from consent.models import Person
from consent.refusal import Absent, Because, Refusal
from integrations import linking
from integrations.fhir_peer import keys, launching, parse, registry
from integrations.fhir_peer.client import Failed
from integrations.models import Peer
from phr.caller import caller_of
from phr.fhir import wire
from phr.fhir.outcome import Problem
from phr.records.gateway import NotFound
from phr.smart import launches
from phr.web.names import name_of
from phr.web.pages import origin, page, policy, problem, said, signed_in


def jwks(request: HttpRequest) -> HttpResponse:
    """The JWK Set peers know us by (RFC 7517 §5). Public."""
    return JsonResponse(keys.public_set())


def link(request: HttpRequest) -> HttpResponse:
    """`{"patient": their id, "code": what the family showed, "base"?: which peer}` by the peer's own system: 204.

    Whose record it is linked with is not told.
    """
    now = timezone.now()
    caller = caller_of(request, now=now)
    content = wire.json_body(request)
    patient, code, base = (content.get(name, "") for name in ("patient", "code", "base"))
    if set(content) - {"patient", "code", "base"} or not all(isinstance(t, str) for t in (patient, code, base)):
        raise Problem(400, "structure", "patient, code, base です。Text: patient, code, base.")
    if not parse.ID.fullmatch(patient) or caller.capacity is not Capacity.SYSTEM:
        raise NotFound("peer")
    found = Peer.objects.filter(organization=caller.organization, state=Peer.State.ACTIVE)
    peers = list(found.filter(base=base) if base else found[:2])
    if len(peers) != 1:
        raise NotFound("peer")
    try:
        linking.use_code(system=registry.system(peers[0].base), value=patient, code=code, by=caller, now=now)
    except Absent:
        raise NotFound("code") from None
    except Refusal as refusal:
        raise Problem(409, "conflict", refusal.why) from None
    return HttpResponse(status=204)


@page
@signed_in
@require_GET
def peers(request: HttpRequest) -> HttpResponse:
    """The peers one can link a record with by signing in there, and the records one may link."""
    assert isinstance(request.user, Person)
    now, person = timezone.now(), request.user
    roles = [r for r in launches.roles_for(person, (), now=now) if r.capacity in (Capacity.SELF, Capacity.GUARDIAN)]
    records = [(r.subject, name_of(r, person, now=now)) for r in roles if r.subject is not None]
    offered = launching.offered()
    answer = render(request, "integrations/peers.html", {"peers": offered, "records": records})
    answer["Content-Security-Policy"] = policy(*sorted({origin(o) for p in offered for o in p.origins}))
    return answer


@page
@signed_in
@require_POST
def begin(request: HttpRequest, code: str) -> HttpResponse:
    """Off to the peer, to sign in there."""
    peer = next((p for p in launching.offered() if p.code == code), None)
    try:
        subject = UUID(request.POST.get("subject", ""))
    except ValueError:
        raise Http404 from None
    if peer is None:
        raise Http404
    try:
        url, request.session["peer"] = launching.begin(peer, subject=subject, now=timezone.now())
    except Failed:
        return _unreachable(request)
    return HttpResponseRedirect(url)


@page
@signed_in
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Back from the peer. The question is gone with the first answer, right or wrong."""
    assert isinstance(request.user, Person)
    kept = request.session.pop("peer", None) or {}
    try:
        launching.finish(kept, request.GET.dict(), by=request.user, now=timezone.now())
    except Absent:
        raise Http404 from None
    except Refusal as refusal:
        return problem(request, said(refusal), status=409 if refusal.because is Because.CONFLICT else 403)
    except Failed:
        return _unreachable(request)
    return HttpResponseRedirect("/api/peers?linked=1")


def _unreachable(request: HttpRequest) -> HttpResponse:
    return problem(request, "相手のサーバーが応じません。/ The other server does not answer.", status=502)
