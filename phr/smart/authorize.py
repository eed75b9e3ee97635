"""The authorization request, from the app's first knock to its code: check, keep, approve, deny.

The checked request is kept in a row; what the browser sends later names only the row and a choice.
Sources: RFC 6749 section 4.1, RFC 7636, RFC 9207, SMART App Launch 2.2 section 2.1.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction
from oauthlib.oauth2.rfc6749.errors import FatalClientError, OAuth2Error

from consent.models import Person
from phr.smart import ehr, launches, step_up
from phr.smart.launches import Proof, Role
from phr.smart.models import Application, AuthorizationRequest
from phr.smart.provider import FHIR_URL, server
from phr.smart.scopes import needs_patient

AUTHORIZE_URL = settings.PHR_BASE_URL + "/oauth/authorize"
PATIENCE = timedelta(minutes=10)  # how long a person may take to decide
KEPT = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
)
READ = (*KEPT, "aud", "resource", "prompt", "max_age", "acr_values", "launch", "request", "request_uri")
LONGEST = 4096
_S256 = re.compile(r"[A-Za-z0-9_-]{43}")
_SECONDS = re.compile(r"[0-9]{1,9}")
NOT_YOURS = "launch is unknown, used, over, or not for the person signed in"


class Fatal(Exception):
    """The request cannot be answered to the app: unknown client, foreign address, no such request."""


class Sent(Exception):
    """The answer is an error for the app: `url` is its redirect address with the error in it."""

    def __init__(self, url: str) -> None:
        super().__init__("refused")
        self.url = url


@dataclass(frozen=True, slots=True)
class Checked:
    """A request that may be put before a person."""

    application: Application
    parameters: Mapping[str, str]
    scopes: tuple[str, ...]
    prompt: frozenset[str]
    launch: str = ""  # the value an EHR gave the app
    acr: str = ""  # how well the person must have proved who she is; "" = in whichever way
    max_age: int | None = None  # and how many seconds ago at most; prompt=login is 0: just now


def check(given: Mapping[str, list[str]]) -> Checked:
    """Check a request's parameters (each with all its values). Raises Fatal or Sent."""
    asked = _single(given)
    try:
        scopes, _ = server().validate_authorization_request(_uri(asked))
    except FatalClientError as error:
        raise Fatal(error.description or error.error) from error
    except OAuth2Error as error:
        raise Sent(_with_error(asked, error.error, error.description)) from error
    application = Application.objects.get(client_id=asked["client_id"])
    if "redirect_uri" not in asked:
        asked["redirect_uri"] = application.default_redirect_uri
    if fault := _fault(asked) or _launch_fault(asked, frozenset(scopes)):
        raise Sent(_with_error(asked, *fault))
    kept = {name: asked[name] for name in KEPT if name in asked}
    prompt = frozenset(asked.get("prompt", "").split())
    age = "0" if "login" in prompt else asked.get("max_age")
    return Checked(
        application, kept, tuple(scopes), prompt, asked.get("launch", ""),
        step_up.wanted(asked.get("acr_values", "")), None if age is None else int(age),
    )  # fmt: skip


def _single(given: Mapping[str, list[str]]) -> dict[str, str]:
    asked = {}
    for name in READ:
        values = [value for value in given.get(name, []) if value]
        if len(values) > 1:
            raise Fatal(f"Duplicate {name} parameter.")
        if values and (len(values[0]) > LONGEST or "\x00" in values[0]):
            raise Fatal(f"Unusable {name} parameter.")
        if values:
            asked[name] = values[0]
    return asked


def _fault(asked: Mapping[str, str]) -> tuple[str, str] | None:
    """What SMART asks beyond OAuth, as (error, description)."""
    if asked.get("aud", "").rstrip("/") != FHIR_URL:
        return "invalid_request", f"aud must be {FHIR_URL}"
    if asked.get("resource", FHIR_URL).rstrip("/") != FHIR_URL:
        return "invalid_target", f"resource must be {FHIR_URL}"
    if not asked.get("state"):
        return "invalid_request", "state is required (SMART App Launch 2.2, 122 bits or more)"
    if not _S256.fullmatch(asked["code_challenge"]):
        return "invalid_request", "code_challenge is not an S256 challenge"
    if not _SECONDS.fullmatch(asked.get("max_age", "0")):
        return "invalid_request", "max_age is a number of seconds"
    if "request" in asked or "request_uri" in asked:
        return "request_not_supported", "parameters are taken from the request itself"
    if "none" in asked.get("prompt", "").split():
        return "interaction_required", "the person is always asked"
    return None


def _launch_fault(asked: Mapping[str, str], scopes: frozenset[str]) -> tuple[str, str] | None:
    """An EHR launch brings both, the scope and the value; an app that starts alone neither."""
    if "launch" in asked and "launch" not in scopes:
        return "invalid_request", "a launch value comes with the scope launch"
    if "launch" in scopes and "launch" not in asked:
        return "invalid_scope", "the scope launch comes with a launch value; ask for launch/patient"
    return None


def _uri(parameters: Mapping[str, str]) -> str:
    return f"{AUTHORIZE_URL}?{urlencode({n: v for n, v in parameters.items() if n in KEPT})}"


def _with_error(asked: Mapping[str, str], error: str, description: str | None) -> str:
    """The app's redirect address carrying an error. Only called once the address is known to be the app's."""
    uri = asked.get("redirect_uri") or Application.objects.get(client_id=asked["client_id"]).default_redirect_uri
    return with_query(uri, {"error": error, "error_description": description or "", "state": asked.get("state", "")})


def with_query(uri: str, more: Mapping[str, str]) -> str:
    """`uri` with non-empty parameters and RFC 9207's `iss` added to its query."""
    parts = urlsplit(uri)
    pairs = {**{n: v for n, v in more.items() if v}, "iss": settings.PHR_BASE_URL}
    query = "&".join(filter(None, [parts.query, urlencode(pairs)]))
    return urlunsplit(parts._replace(query=query))


def begin(checked: Checked, *, by: Person, now: datetime) -> AuthorizationRequest:
    """Keep a checked request for this person to decide on. Older undecided ones of hers are dropped.

    Raises Sent for an EHR's launch value that is not good for her, or lacks the patient the scopes need.
    """
    AuthorizationRequest.objects.filter(person=by, created_at__lt=now - PATIENCE).delete()
    parameters = {**checked.parameters, "scope": " ".join(checked.scopes)}
    proving = {"acr": checked.acr, "max_age": checked.max_age}
    launched = None
    if checked.launch:
        launched = ehr.standing(checked.launch, by=by, now=now)
        if launched is None:
            raise Sent(_with_error(parameters, "invalid_request", NOT_YOURS))
        if launched.subject_id is None and needs_patient(checked.scopes):
            raise Sent(_with_error(parameters, "invalid_scope", "this launch has no patient in context"))
    return AuthorizationRequest.objects.create(
        application=checked.application, person=by, parameters=parameters | proving, launched=launched, created_at=now
    )


def pending(id: UUID, *, by: Person, now: datetime, lock: bool = False) -> AuthorizationRequest:
    """The undecided request of this person. Raises Fatal: another's, decided, or too old look the same."""
    rows = AuthorizationRequest.objects.select_related("application", "launched__organization", "launched__subject")
    if lock:
        rows = rows.select_for_update(of=("self",))
    found = rows.filter(pk=id, person=by, used_at=None, created_at__gt=now - PATIENCE).first()
    if found is None or not found.application.is_active:
        raise Fatal("アプリからもう一度始めてください。/ This request is over. Please start again in the app.")
    return found


def scopes_of(asked: AuthorizationRequest) -> tuple[str, ...]:
    return tuple(asked.parameters["scope"].split())


def roles(asked: AuthorizationRequest, *, now: datetime) -> tuple[Role, ...]:
    """What the person may act as for this request; recomputed each time, never taken from a form."""
    if asked.launched is not None:
        role = ehr.role_in(asked.launched, asked.person, now=now)
        return (role,) if role else ()
    return launches.roles_for(asked.person, scopes_of(asked), now=now)


@transaction.atomic
def approve(id: UUID, *, role: str, encounter: str = "", by: Person, proof: Proof, now: datetime) -> str:
    """Open a launch in the chosen role and give the app its code. Returns where to send the browser.

    `encounter`: the chosen one, for `launch/encounter`. Raises Fatal, also for a role or an encounter that is not
    (or no longer) hers; StepUpNeeded where who approves has not proved it as the app asked (she may have another
    session than the one that the app knocked at).
    """
    asked = pending(id, by=by, now=now, lock=True)
    _require_proof(asked, proof)
    chosen = next((r for r in roles(asked, now=now) if r.key == role), None)
    if chosen is None:
        raise Fatal("この記録は選べません。/ This record cannot be chosen.")
    scope, encounter = _encountered(asked, chosen, encounter, now)
    _used(asked, now)
    launch = launches.begin(
        application=asked.application, by=by, role=chosen, scope=scope, proof=proof, encounter=encounter,
        context=asked.launched.context if asked.launched else None, now=now,
    )  # fmt: skip
    kept = {name: value for name, value in asked.parameters.items() if name in KEPT}
    credentials = {**kept, "scope": scope, "user": by, "standing": launch}
    try:
        headers, _, _ = server().create_authorization_response(
            _uri(asked.parameters), scopes=scope.split(), credentials=credentials
        )
    except FatalClientError as error:
        raise Fatal(error.description or error.error) from error
    return with_query(headers["Location"], {})


def _require_proof(asked: AuthorizationRequest, proof: Proof) -> None:
    """The age counts from the request: she may take her time to decide. Raises StepUpNeeded."""
    acr, max_age = step_up.at_least(asked.parameters.get("acr", "")), asked.parameters.get("max_age")
    good = not acr or step_up.reaches(proof.acr, acr)
    if max_age is not None:
        oldest = asked.created_at - max(step_up.LEAST, timedelta(seconds=max_age))
        good = good and proof.at is not None and proof.at >= oldest
    if not good:
        raise step_up.StepUpNeeded(acr, max_age)


def asks_encounter(asked: AuthorizationRequest) -> bool:
    """Whether the person is to choose an encounter: an app that starts alone asks for one."""
    return asked.launched is None and "launch/encounter" in scopes_of(asked)


def _encountered(asked: AuthorizationRequest, role: Role, chosen: str, now: datetime) -> tuple[str, str]:
    """The scope to grant and the encounter in context. Without an encounter there is no `launch/encounter`."""
    if asked.launched is not None:
        chosen = asked.launched.encounter
    elif not asks_encounter(asked):
        chosen = ""
    elif chosen and chosen not in dict(ehr.encounters(role, asked.person, now=now)):
        raise Fatal("この受診は選べません。/ This encounter cannot be chosen.")
    scopes = (scope for scope in scopes_of(asked) if chosen or scope != "launch/encounter")
    return " ".join(scopes), chosen


@transaction.atomic
def deny(id: UUID, *, by: Person, now: datetime) -> str:
    """Tell the app that the person said no. Returns where to send the browser. Raises Fatal."""
    asked = pending(id, by=by, now=now, lock=True)
    _used(asked, now)
    return _with_error(asked.parameters, "access_denied", "The person refused.")


def _used(asked: AuthorizationRequest, now: datetime) -> None:
    if asked.launched is not None and not ehr.use(asked.launched, now=now):
        raise Fatal("アプリをもう一度開いてください。/ This launch was used. Please open the app again.")
    asked.used_at = now
    asked.save(update_fields=["used_at"])
