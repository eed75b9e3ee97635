"""The key that signs the log: an Ed25519 seed of 32 bytes, base64, in the setting PHR_AUDIT_KEY."""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def key_id(key: Ed25519PublicKey) -> str:
    """What a head names its key by: the first 16 hexadecimal digits of the SHA-256 of the raw public key."""
    return sha256(key.public_bytes_raw()).hexdigest()[:16]


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


def public_key(told: str, id: str) -> bytes | None:
    """The public key of the setting, if `id` is its id: heads of an earlier key are checked with that one."""
    key = signing_key(told).public_key()
    return key.public_bytes_raw() if key_id(key) == id else None
