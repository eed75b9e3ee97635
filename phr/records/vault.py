"""Seal and open bodies: AES-256-GCM under the data key of the subject (`consent.keys`).

A sealed body cannot be moved: its additional data names type, id, version, subject and key version.

    sealed body   = format(1) nonce(12) ciphertext          one subject, or none (the commons key)
                  = 2 key_version(2) wrap(60) wrap(60) nonce(12) ciphertext    two subjects: a key of its
                    own, wrapped by each of theirs, so that either can open it
    plain body    = codec(1) compressed JSON
"""

from __future__ import annotations

import base64
import binascii
import os
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from uuid import UUID

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from consent.keys import (
    HINT,
    CannotOpen,
    Key,
    Keyring,
    all_keys,
    cipher,
    keyring,
    keys_for,
    parse_keyring,
    prove,
    ready,
    rewrap,
    unwrap,
    wrap,
)

# The keys' own names too: whoever seals bodies needs both.
__all__ = [
    "HINT", "CannotOpen", "Key", "Keyring", "all_keys", "cipher", "compress", "decompress", "index_key", "keyring",
    "keys_for", "parse_keyring", "prove", "ready", "rewrap", "seal", "unseal", "unwrap", "wrap",
]  # fmt: skip

ONE, TWO = b"\x01", b"\x02"
WRAP = 12 + 32 + 16

# Codecs are for ever: add one, never change one. The dictionary of codec 1 was trained (zstandard.train_dictionary,
# 16 KB) on 60 invented families of `populate` (seed 5); it brings an Observation from 400 sealed bytes to 170.
_DICTIONARY = zstandard.ZstdCompressionDict((Path(__file__).parent / "definitions" / "bodies-1.dict").read_bytes())
_local = threading.local()


def compress(body: bytes) -> bytes:
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=3, dict_data=_DICTIONARY, write_content_size=True)
    return b"\x01" + _local.compressor.compress(body)


def decompress(packed: bytes) -> bytes:
    """What `compress` was given. Raises CannotOpen for a codec, or a dictionary, that is not ours."""
    if packed[:1] != b"\x01":
        raise CannotOpen("unknown codec")
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor(dict_data=_DICTIONARY)
    try:  # a frame without our dictionary's number would become other bytes, silently
        if zstandard.get_frame_parameters(packed[1:]).dict_id == _DICTIONARY.dict_id():
            return bytes(_local.decompressor.decompress(packed[1:]))
    except zstandard.ZstdError:
        pass
    raise CannotOpen("compressed by another version of this program")


def seal(body: bytes, *, place: str, subjects: tuple[UUID, ...], keys: tuple[Key, ...]) -> bytes:
    """Compress and seal. `keys` stand beside `subjects`; without subjects one commons key."""
    aad = f"{place}|{'+'.join(map(str, subjects))}|{keys[0].version}".encode()
    nonce = os.urandom(12)
    if len(keys) == 1:
        raw = unwrap(keys[0].wrapped, subjects[0] if subjects else None, keys[0].version, keys[0].kek)
        return ONE + nonce + cipher(raw).encrypt(nonce, compress(body), aad)
    own = AESGCM.generate_key(256)
    copies = b"".join(
        (n := os.urandom(12)) + cipher(unwrap(k.wrapped, s, k.version, k.kek)).encrypt(n, own, aad)
        for s, k in zip(subjects, keys, strict=True)
    )
    head = TWO + keys[1].version.to_bytes(2, "big") + copies
    return head + nonce + AESGCM(own).encrypt(nonce, compress(body), aad)


def unseal(sealed: bytes, *, place: str, subjects: tuple[UUID, ...], keys: Iterable[Key | None], version: int) -> bytes:
    """Open and decompress; `keys` may hold None where a subject's key is gone. Raises CannotOpen."""
    aad = f"{place}|{'+'.join(map(str, subjects))}|{version}".encode()
    sealed = bytes(sealed)
    owners: tuple[UUID | None, ...] = subjects or (None,)
    for at, (owner, key) in enumerate(zip(owners, keys, strict=False)):
        if key is None:
            continue
        raw = unwrap(key.wrapped, owner, key.version, key.kek)
        try:
            if sealed[:1] == ONE:
                return decompress(cipher(raw).decrypt(sealed[1:13], sealed[13:], aad))
            copy = sealed[3 + at * WRAP : 3 + (at + 1) * WRAP]
            own = AESGCM(cipher(raw).decrypt(copy[:12], copy[12:], aad))
            body = sealed[3 + 2 * WRAP :]
            return decompress(own.decrypt(body[:12], body[12:], aad))
        except InvalidTag:
            raise CannotOpen(f"{place}: the sealed body was altered or moved") from None
    raise CannotOpen(f"{place}: no key left")


@lru_cache(maxsize=1)
def index_key() -> bytes:
    """The key of the search index hashes. Raises ImproperlyConfigured when it is missing or malformed."""
    try:
        key = base64.b64decode(settings.PHR_INDEX_KEY, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ImproperlyConfigured("PHR_INDEX_KEY must be the base64 of 32 bytes.")
    return key
