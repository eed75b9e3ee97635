"""An authenticator in software, for tests: it makes and signs as WebAuthn §6 says, and lies where it is told to."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class SoftKey:
    """One passkey on one device."""

    origin: str
    host: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    handle: bytes = b""
    count: int = 0

    def make(self, options: str, **lies: Any) -> str:
        """The answer to `navigator.credentials.create`."""
        asked = json.loads(options)
        self.handle = base64url_to_bytes(asked["user"]["id"])
        head = self._data(lies, ATTESTED)
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + self._public()
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": head + attested})
        client = self._client("webauthn.create", asked["challenge"], lies)
        return self._told({"clientDataJSON": client, "attestationObject": attestation}, lies)

    def sign(self, options: str, **lies: Any) -> str:
        """The answer to `navigator.credentials.get`."""
        asked = json.loads(options)
        self.count += lies.get("step", 1)
        data = self._data(lies, 0)
        client = self._client("webauthn.get", asked["challenge"], lies)
        signature = lies.get("signer", self.key).sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        handle = lies.get("handle", self.handle)
        told = {"clientDataJSON": client, "authenticatorData": data, "signature": signature, "userHandle": handle}
        return self._told({name: value for name, value in told.items() if value is not None}, lies)

    def _data(self, lies: dict[str, Any], flags: int) -> bytes:
        told = lies.get("flags", PRESENT | VERIFIED) | flags
        host = hashlib.sha256(lies.get("host", self.host).encode()).digest()
        return host + bytes([told]) + self.count.to_bytes(4, "big")

    def _client(self, type: str, challenge: str, lies: dict[str, Any]) -> bytes:
        told = {"type": type, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps({**told, **lies.get("client", {})}).encode()

    def _public(self) -> bytes:
        point = self.key.public_key().public_numbers()
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})

    def _told(self, response: dict[str, bytes], lies: dict[str, Any]) -> str:
        id = bytes_to_base64url(lies.get("id", self.id))
        encoded = {name: bytes_to_base64url(value) for name, value in response.items()}
        return json.dumps({"id": id, "rawId": id, "type": "public-key", "response": encoded})
