"""The machine endpoints: token, revocation, introspection, keys and discovery. No sessions, no cookies.

Sources: RFC 6749, RFC 7009, RFC 7662, RFC 8414, OpenID Connect Discovery 1.0, SMART App Launch 2.2.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, wraps
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.http import parse_etags
from django.views.decorators.csrf import csrf_exempt
from jwcrypto.jwk import JWK
from oauthlib.common import Request, urlencode
from oauthlib.oauth2.rfc6749.errors import FatalClientError, OAuth2Error

from consent.audit import AuditUnavailable
from phr.smart import assertion, attempts, brands, cors, discovery, launches, trail
from phr.smart.assertion import AssertionRefused
from phr.smart.attempts import Door, TooMany
from phr.smart.models import AccessToken
from phr.smart.provider import FHIR_URL, TOKEN_URL, server

# What the endpoints read; anything else a client sends is ignored (RFC 6749 section 3.2).
READ = (
    "grant_type", "code", "redirect_uri", "client_id", "client_secret", "code_verifier", "refresh_token", "scope",
    "client_assertion", "client_assertion_type", "token", "token_type_hint", "resource",
)  # fmt: skip
LONGEST = 20_000
FORM = "application/x-www-form-urlencoded"
FHIR_JSON = "application/fhir+json; charset=utf-8"

View = Callable[[HttpRequest], HttpResponse]


def machine(view: View) -> View:
    """POST of a form, each parameter once, answers never kept in a cache; CORS for registered origins."""

    @csrf_exempt
    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponse:
        if request.method == "OPTIONS":
            answer = HttpResponse(status=204)
        elif request.method != "POST":
            answer = refusal("invalid_request", "POST, please.", status=405)
            answer["Allow"] = "POST, OPTIONS"
        elif fault := _fault(request):
            answer = refusal("invalid_request", fault)
        else:
            try:
                answer = view(request)
            except AuditUnavailable:
                answer = refusal("temporarily_unavailable", "Try again later.", status=503)
        answer["Cache-Control"] = "no-store"
        return cors.for_registered(request, answer)

    return wrapped


def _fault(request: HttpRequest) -> str | None:
    if request.GET:
        return "Parameters belong into the body."
    if request.content_type != FORM:
        return f"Content-Type must be {FORM}."
    for name in READ:
        values = request.POST.getlist(name)
        if len(values) > 1:
            return f"Duplicate {name} parameter."
        if values and (len(values[0]) > LONGEST or "\x00" in values[0]):
            return f"Unusable {name} parameter."
    if request.POST.get("resource", FHIR_URL).rstrip("/") != FHIR_URL:
        return f"resource must be {FHIR_URL}."
    return None


def refusal(error: str, description: str, *, status: int = 400) -> JsonResponse:
    return JsonResponse({"error": error, "error_description": description}, status=status)


def _oauth(request: HttpRequest) -> tuple[str, dict[str, str]]:
    """The request as oauthlib reads it: body and headers. Codes are hashed here; nothing below sees one."""
    given = {name: request.POST[name] for name in READ if request.POST.get(name) and name != "resource"}
    if "code" in given:
        given["code"] = sha256(given["code"].encode("utf-8", "replace")).hexdigest()
    headers = {"Content-Type": FORM}
    if authorization := request.headers.get("Authorization"):
        headers |= {"Authorization": authorization, "HTTP_AUTHORIZATION": authorization}
    return urlencode(list(given.items())), headers


@machine
def token(request: HttpRequest) -> HttpResponse:
    """RFC 6749 section 3.2: authorization_code, refresh_token and client_credentials."""
    body, headers = _oauth(request)
    now, address = timezone.now(), attempts.address_of(request)
    try:
        tried = attempts.begin(Door.TOKEN, now=now, address=address, client=f"{_claimed(request)}|{address}")
    except TooMany as many:
        answer = refusal("temporarily_unavailable", "Too many failed requests. Try again later.", status=429)
        answer["Retry-After"] = str(many.wait)
        return answer
    try:
        with transaction.atomic():
            headers, body, status = server().create_token_response(TOKEN_URL, "POST", body, headers)
    except (OAuth2Error, FatalClientError) as error:
        headers, body, status = error.headers, error.json, error.status_code
    if status >= 400:
        _log_refusal(request, body)
    else:
        attempts.succeeded(tried)
    return _answer(headers, body, status)


def _claimed(request: HttpRequest) -> str:
    """Which client a request says it is from; only to count it."""
    if request.POST.get("client_id"):
        return request.POST["client_id"]
    if request.POST.get("client_assertion"):
        try:
            return assertion.read(request.POST["client_assertion"]).issuer
        except AssertionRefused:
            return "?"
    return request.headers.get("Authorization", "")[:40]


def _log_refusal(request: HttpRequest, body: str) -> None:
    trail.refused(
        client=request.POST.get("client_id", ""), grant_type=request.POST.get("grant_type", ""),
        because=json.loads(body).get("error", ""), now=timezone.now(),
    )  # fmt: skip


def _answer(headers: dict[str, str], body: str | None, status: int) -> HttpResponse:
    answer = HttpResponse(body or "", status=status, content_type="application/json")
    for name, value in headers.items():
        answer[name] = value
    if status == 401 and "WWW-Authenticate" not in answer:
        answer["WWW-Authenticate"] = 'Basic realm="oauth"'
    return answer


@machine
def revoke(request: HttpRequest) -> HttpResponse:
    """RFC 7009: the launch of the token ends, with every token of it. Unknown tokens are no error."""
    body, headers = _oauth(request)
    with transaction.atomic():
        headers, body, status = server().create_revocation_response(TOKEN_URL, "POST", body, headers)
    return _answer(headers, body, status)


@machine
def introspect(request: HttpRequest) -> HttpResponse:
    """RFC 7662, for clients that were allowed it; a token is active only while what it rests on stands."""
    body, headers = _oauth(request)
    asking = Request(TOKEN_URL, "POST", body, headers)
    with transaction.atomic():
        known = server().request_validator.authenticate_client(asking)
    if not known:
        return _answer({}, refusal("invalid_client", "Who asks?").content.decode(), 401)
    if not asking.client.may_introspect:
        return refusal("access_denied", "This client may not introspect tokens.", status=403)
    if not request.POST.get("token"):
        return refusal("invalid_request", "Missing token parameter.")
    return JsonResponse(_introspection(request.POST["token"], asking.client.client_id))


def _introspection(presented: str, asking: str) -> dict[str, Any]:
    now = timezone.now()
    digest = sha256(presented.encode("utf-8", "replace")).hexdigest()
    related = ("launch__application", "launch__person", "launch__organization", "launch__subject")
    row = AccessToken.objects.select_related(*related).filter(token_checksum=digest).first()
    active = row is not None and row.revoked_at is None and row.expires > now and launches.opens(row.launch, now=now)
    trail.introspected(row.launch if row else None, client=asking, active=active, now=now)
    if row is None or not active:
        return {"active": False}
    launch = row.launch
    told: dict[str, Any] = {
        "active": True, "scope": row.scope, "client_id": launch.application.client_id, "token_type": "Bearer",
        "exp": int(row.expires.timestamp()), "iat": int(row.created.timestamp()),
        "iss": settings.PHR_BASE_URL, "aud": FHIR_URL, "purpose_of_use": launch.purpose,
    }  # fmt: skip
    if launch.person_id:
        told |= {"sub": str(launch.person_id), "fhirUser": launches.fhir_user(launch, FHIR_URL)}
    return told | launches.context_of(launch) | launches.proof_claims(launch)


def public(view: View) -> View:
    """GET of a public document, readable from any origin."""

    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            answer: HttpResponse = refusal("invalid_request", "GET, please.", status=405)
            answer["Allow"] = "GET, HEAD, OPTIONS"
        else:
            answer = view(request)
            answer["Cache-Control"] = "public, max-age=300"
        return cors.for_anyone(answer)

    return csrf_exempt(wrapped)


@public
def smart_configuration(request: HttpRequest) -> HttpResponse:
    """SMART App Launch 2.2 section 2.2: also served below the FHIR base."""
    return JsonResponse(discovery.smart_configuration())


@public
def openid_configuration(request: HttpRequest) -> HttpResponse:
    """OpenID Connect Discovery 1.0 and RFC 8414."""
    return JsonResponse(discovery.openid_configuration())


@public
def brand_bundle(request: HttpRequest) -> HttpResponse:
    """SMART App Launch 2.2 section 4: for any origin, and only sent again when it changed."""
    content = json.dumps(brands.bundle(), ensure_ascii=False).encode()
    etag = f'"{sha256(content).hexdigest()[:32]}"'
    known = {tag.removeprefix("W/") for tag in parse_etags(request.headers.get("If-None-Match", ""))}
    fresh = etag in known or "*" in known
    answer = HttpResponse(b"" if fresh else content, status=304 if fresh else 200, content_type=FHIR_JSON)
    answer["ETag"] = etag
    answer["Access-Control-Expose-Headers"] = "ETag"
    return answer


@public
def jwks(request: HttpRequest) -> HttpResponse:
    """The public key that signs ID tokens (RFC 7517)."""
    return JsonResponse(_public_keys(settings.PHR_OIDC_KEY))


@cache
def _public_keys(pem: str) -> dict[str, list[dict[str, str]]]:
    if not pem:
        return {"keys": []}
    key = JWK.from_pem(pem.encode())
    told = json.loads(key.export_public())
    return {"keys": [{**told, "kid": key.thumbprint(), "use": "sig", "alg": "RS256"}]}
