"""The token of an emergency access: bound to its row, one record, and no longer than that row says.

The row itself is looked at on every request (`phr.smart.tokens`, `consent.decide`); the doors here only narrow it.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import transaction
from oauth2_provider.models import set_token_value

from consent import glass
from consent.decide import FULL_STEP, Capacity
from consent.models import EmergencyAccess, Person
from phr.smart import trail
from phr.smart.launches import Proof
from phr.smart.models import AccessToken, Application, Launch

# ABO and Rh(D), as LOINC and JLAC10 codes; course and status of a pregnancy, expected date of delivery.
_SHOWN = ",".join(
    [f"http://loinc.org|{code}" for code in ("883-9", "10331-7", "882-1", "82810-3", "11449-6", "11778-8")]
)
FIRST = " ".join([
    "patient/Patient.r", "patient/AllergyIntolerance.rs", "patient/Condition.rs", "patient/Immunization.rs",
    *(f"patient/Medication{kind}.rs" for kind in ("Administration", "Dispense", "Request", "Statement")),
    f"patient/Observation.rs?code={_SHOWN}",
])  # fmt: skip
WHOLE = "patient/*.rs"
PAGES = "tsumugi-emergency"  # the client of an access opened on our own pages


@transaction.atomic
def issue(*, access: EmergencyAccess, client: str, proof: Proof, now: datetime) -> tuple[str, str]:
    """A token for this access, and its scope; with the whole record its first token goes on as it was.

    `client`: the app the clinician uses; "" = our pages. Raises AuditUnavailable: then there is no token.
    """
    scope = WHOLE if access.step >= FULL_STEP else FIRST
    application = Application.objects.get(client_id=client) if client else _pages()
    launch = Launch.objects.create(
        application=application, person=access.person, organization=access.organization, subject=access.subject,
        glass=access, capacity=Capacity.STAFF, purpose=access.purpose, scope=scope, acr=proof.acr,
        authenticated_at=proof.at, created_at=now, ends_at=access.ends_at,
    )  # fmt: skip
    value = secrets.token_urlsafe(32)
    token = AccessToken(application=application, user=access.person, scope=scope, expires=launch.ends_at, launch=launch)
    set_token_value(token, value)
    token.save()
    trail.issued(launch, grant_type="emergency", scope=scope, now=now)
    return value, scope


@transaction.atomic
def end(*, access: EmergencyAccess, by: Person, now: datetime) -> None:
    """End an access and its tokens. Raises Absent for another's, or one that is over."""
    closed = glass.close(access=access, by=by, now=now)
    Launch.objects.filter(glass=closed, revoked_at=None).update(revoked_at=now)


def end_all(*, by: Person, now: datetime) -> int:
    """End what somebody who signs out has open. Returns how many."""
    mine = EmergencyAccess.objects.filter(person=by, closed_at=None, ends_at__gt=now)
    for access in mine:
        end(access=access, by=by, now=now)
    return len(mine)


def _pages() -> Application:
    made, _ = Application.objects.get_or_create(
        client_id=PAGES,
        defaults={
            "name": "紡（救急） / Tsumugi (emergency)", "client_type": Application.CLIENT_CONFIDENTIAL,
            "authorization_grant_type": Application.GRANT_AUTHORIZATION_CODE, "redirect_uris": "",
            "token_endpoint_auth_method": Application.AuthMethod.SECRET_BASIC,
            "client_secret": secrets.token_urlsafe(32),
        },
    )  # fmt: skip
    return made
