"""Our signing keys at peers: one each, the private half sealed at rest; and the assertions they sign.

Source: SMART App Launch 2.2 "Backend Services" and "Client Authentication: Asymmetric" (private_key_jwt).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from integrations.models import Peer
from phr.records import vault

ALGORITHMS: Mapping[str, Mapping[str, Any]] = {
    "ES384": {"kty": "EC", "crv": "P-384"},
    "RS384": {"kty": "RSA", "size": 3072},
}
LIFE = 240  # seconds an assertion lives: at most five minutes are taken


def fresh(peer: Peer, algorithm: str) -> None:
    """Give a peer that is not saved yet a new key."""
    kid = secrets.token_hex(16)
    key = JWK.generate(**ALGORITHMS[algorithm], kid=kid, use="sig", alg=algorithm)
    commons = vault.keys_for([None])[None]
    peer.kid, peer.algorithm, peer.public = kid, algorithm, json.loads(key.export_public())
    peer.key_version = commons.version
    peer.sealed = vault.seal(key.export_private().encode(), place=_place(peer), subjects=(), keys=(commons,))


def public_set() -> dict[str, list[dict[str, Any]]]:
    """The JWK Set (RFC 7517 §5) peers know us by."""
    found = Peer.objects.exclude(state=Peer.State.ENDED).order_by("pk").values_list("public", flat=True)
    return {"keys": list(found)}


def assertion(peer: Peer, *, now: datetime, client: str = "") -> str:
    """A fresh client assertion for the peer's token endpoint. `client`: another name of ours there."""
    moment, named = int(now.timestamp()), client or peer.client
    told = {
        "iss": named, "sub": named, "aud": peer.token_url, "iat": moment, "exp": moment + LIFE,
        "jti": secrets.token_urlsafe(24),
    }  # fmt: skip
    token = JWS(json.dumps(told))
    head = {"alg": peer.algorithm, "kid": peer.kid, "typ": "JWT"}
    token.add_signature(_private(peer), alg=None, protected=json.dumps(head))
    return str(token.serialize(compact=True))


def _private(peer: Peer) -> JWK:
    commons = vault.all_keys(None).get(peer.key_version)
    text = vault.unseal(bytes(peer.sealed), place=_place(peer), subjects=(), keys=(commons,), version=peer.key_version)
    return JWK.from_json(text.decode())


def _place(peer: Peer) -> str:
    return f"peer-key|{peer.kid}"
