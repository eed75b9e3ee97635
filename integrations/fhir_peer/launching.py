"""Linking by signing in at the peer: SMART App Launch with us as the client, by the person or who acts for her.

The question stays in her browser's own session and is used once: state, PKCE verifier, whose record, until when.
What links is the patient in the token response; her Patient there may not contradict ours (birth date, sex). The
token is used for that one reading and forgotten. Source: SMART App Launch 2.2 (standalone launch), RFC 7636, RFC 9207.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings

from consent import outside
from consent.models import Person
from consent.refusal import Absent, Because, Refusal
from integrations import linking
from integrations.fhir_peer import client, registry
from integrations.fhir_peer.client import Failed
from integrations.items import Identity
from integrations.models import LocalNumber, Peer

PATIENCE = timedelta(minutes=15)
SCOPE = "launch/patient patient/Patient.r"

Kept = dict[str, Any]


def offered() -> list[Peer]:
    """The peers somebody can link herself with by signing in there."""
    found = Peer.objects.filter(state=Peer.State.ACTIVE).exclude(launch_client="")
    return list(found.select_related("organization").order_by("name", "pk"))


def begin(peer: Peer, *, subject: UUID, now: datetime) -> tuple[str, Kept]:
    """Where to send the browser, and what its session keeps. Raises Failed."""
    found = client.configuration(peer.base, origins=peer.origins)
    if not found.authorize_url:
        raise Failed("configuration-unusable", passes=False)
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code", "client_id": peer.launch_client, "redirect_uri": callback_url(), "scope": SCOPE,
        "state": state, "aud": peer.base, "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    until = int((now + PATIENCE).timestamp())
    kept = {"state": state, "verifier": verifier, "peer": peer.pk, "subject": str(subject), "until": until,
            "issuer": found.issuer}  # fmt: skip
    joint = "&" if "?" in found.authorize_url else "?"
    return f"{found.authorize_url}{joint}{urlencode(asked)}", kept


def finish(kept: Mapping[str, Any], told: Mapping[str, str], *, by: Person, now: datetime) -> LocalNumber:
    """The peer's answer in the browser -> a link. Raises Absent (nobody asked; not hers), Refusal, Failed."""
    peer = Peer.objects.filter(pk=kept.get("peer", 0), state=Peer.State.ACTIVE).exclude(launch_client="").first()
    asked, answered = str(kept.get("state", "")), told.get("state", "")
    if peer is None or not asked or not secrets.compare_digest(asked.encode(), answered.encode("utf-8", "replace")):
        raise Absent
    if not _is_from(peer, kept, told.get("iss")):
        raise Absent
    if now.timestamp() > int(kept.get("until", 0)):
        raise Refusal("時間切れです。もう一度始めてください / too late: begin again", because=Because.CONFLICT)
    if "code" not in told:
        raise Refusal("相手で連結が許可されませんでした / it was not allowed there", because=Because.CONFLICT)
    token, patient = client.exchange(
        peer, code=told["code"], verifier=str(kept["verifier"]), redirect_uri=callback_url(), now=now
    )
    theirs = client.patient_of(peer, token, patient)
    born, gender = theirs.get("birthDate"), theirs.get("gender")
    identity = Identity(
        registry.system(peer.base), patient, birth_date=born if isinstance(born, str) else "",
        gender=gender if isinstance(gender, str) else "",
    )  # fmt: skip
    return linking.link_by_launch(
        identity=identity, subject=UUID(kept["subject"]), person=by, by=registry.caller(peer, "cu"), now=now
    )


def _is_from(peer: Peer, kept: Mapping[str, Any], iss: str | None) -> bool:
    """Whether the answer is of the server she was sent to, where it says whose it is (RFC 9207 §2.4).

    A server that told its issuer is held to it, letter by letter; of any other it must be a registered origin.
    """
    if iss is None:
        return True
    if issuer := str(kept.get("issuer", "")):
        return iss == issuer
    try:
        return outside.origin(iss) in peer.origins
    except outside.NotFetched:
        return False


def callback_url() -> str:
    """What is registered there as our redirect_uri."""
    return f"{settings.PHR_BASE_URL}/api/peers/callback"
