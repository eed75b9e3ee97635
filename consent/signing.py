"""The key that signs the log: an Ed25519 seed of 32 bytes, base64, in the setting PHR_AUDIT_KEY."""

from __future__ import annotations

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class NoSigningKey(Exception):
    """The setting is missing or no seed; the message says what it should be, never what it is."""


def signing_key(told: str) -> Ed25519PrivateKey:
    """Read the seed. Raises NoSigningKey."""
    try:
        seed = base64.b64decode(told, validate=True)
        return Ed25519PrivateKey.from_private_bytes(seed)
    except (binascii.Error, ValueError):
        raise NoSigningKey(
            "PHR_AUDIT_KEY は base64 の32バイトが必要です / PHR_AUDIT_KEY must be base64 of 32 bytes"
        ) from None
