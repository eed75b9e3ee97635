"""Seal and open bodies: AES-256-GCM under a data key per subject, itself wrapped by a key-encryption key.

A sealed body cannot be moved: its additional data names type, id, version, subject and key version.
Whoever lacks the wrapped data key lacks the record; erasing a person is deleting it (crypto-shredding).

    sealed body   = format(1) nonce(12) ciphertext          one subject, or none (the commons key)
                  = 2 key_version(2) wrap(60) wrap(60) nonce(12) ciphertext    two subjects: a key of its
                    own, wrapped by each of theirs, so that either can open it
    plain body    = codec(1) compressed JSON
    wrapped key   = nonce(12) ciphertext(48)
"""

from __future__ import annotations

import base64
import binascii
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import UUID

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from consent import prepared

ONE, TWO = b"\x01", b"\x02"
WRAP = 12 + 32 + 16
HINT = "PHR_KEYS holds 'id:base64 of 32 bytes', comma separated; keep every key that ever sealed data."


class CannotOpen(Exception):
    """A sealed value does not open: wrong key, wrong place, or altered bytes."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Key-encryption keys by id; `current` seals, all open."""

    current: str
    keys: Mapping[str, AESGCM]


@dataclass(frozen=True, slots=True)
class Key:
    """A data key as stored: still wrapped."""

    version: int
    kek: str
    wrapped: bytes


@lru_cache(maxsize=4)
def parse_keyring(text: str) -> Keyring:
    """Read `PHR_KEYS`. Raises ImproperlyConfigured with a hint when it is missing or malformed."""
    keys: dict[str, AESGCM] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, encoded = part.partition(":")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not name or len(name) > 32 or len(raw) != 32 or name in keys:
            raise ImproperlyConfigured(f"PHR_KEYS: the key named {name!r} is not usable. {HINT}")
        keys[name] = AESGCM(raw)
    if not keys:
        raise ImproperlyConfigured(f"PHR_KEYS is empty: the record cannot be opened. {HINT}")
    return Keyring(next(iter(keys)), keys)


def keyring() -> Keyring:
    return parse_keyring(settings.PHR_KEYS)


def _key_place(subject: UUID | None, version: int, kek: str) -> bytes:
    return f"data-key|{subject or '-'}|{version}|{kek}".encode()


def wrap(raw: bytes, *, subject: UUID | None, version: int, kek: str) -> bytes:
    nonce = os.urandom(12)
    return nonce + keyring().keys[kek].encrypt(nonce, raw, _key_place(subject, version, kek))


@lru_cache(maxsize=8192)
def unwrap(wrapped: bytes, subject: UUID | None, version: int, kek: str) -> bytes:
    """The raw data key. Cached by its wrapped bytes: a row must still hold them to be opened."""
    key = keyring().keys.get(kek)
    if key is None:
        raise CannotOpen(f"key-encryption key {kek!r} is not in PHR_KEYS")
    try:
        return key.decrypt(wrapped[:12], wrapped[12:], _key_place(subject, version, kek))
    except InvalidTag:
        raise CannotOpen(f"key-encryption key {kek!r} does not open the data key it wrapped") from None


@lru_cache(maxsize=8192)
def _cipher(raw: bytes) -> AESGCM:
    return AESGCM(raw)


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
        return ONE + nonce + _cipher(raw).encrypt(nonce, compress(body), aad)
    own = AESGCM.generate_key(256)
    copies = b"".join(
        (n := os.urandom(12)) + _cipher(unwrap(k.wrapped, s, k.version, k.kek)).encrypt(n, own, aad)
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
                return decompress(_cipher(raw).decrypt(sealed[1:13], sealed[13:], aad))
            copy = sealed[3 + at * WRAP : 3 + (at + 1) * WRAP]
            own = AESGCM(_cipher(raw).decrypt(copy[:12], copy[12:], aad))
            body = sealed[3 + 2 * WRAP :]
            return decompress(own.decrypt(body[:12], body[12:], aad))
        except InvalidTag:
            raise CannotOpen(f"{place}: the sealed body was altered or moved") from None
    raise CannotOpen(f"{place}: no key left")


def keys_for(subjects: Iterable[UUID | None]) -> dict[UUID | None, Key]:
    """The newest data key of each subject (None = the commons), made where there is none yet."""
    wanted = set(subjects)
    found = _load(wanted)
    missing = wanted - found.keys()
    if missing:
        kek = keyring().current
        rows = [(s, 1, kek, wrap(AESGCM.generate_key(256), subject=s, version=1, kek=kek)) for s in missing]
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO phr_datakey (subject_id, version, kek, wrapped) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                rows,
            )
        found |= _load(missing)
    return found


def _load(subjects: set[UUID | None]) -> dict[UUID | None, Key]:
    rows = prepared.fetch(
        "SELECT DISTINCT ON (subject_id) subject_id, version, kek, wrapped FROM phr_datakey"
        " WHERE subject_id = ANY(%s) ORDER BY subject_id, version DESC",
        [[s for s in subjects if s]],
    )
    found: dict[UUID | None, Key] = {row[0]: Key(row[1], row[2], bytes(row[3])) for row in rows}
    if None in subjects and (commons := all_keys(None)):
        found[None] = commons[max(commons)]
    return found


def all_keys(subject: UUID | None) -> dict[int, Key]:
    """Every version of one subject's data key, by version."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version, kek, wrapped FROM phr_datakey WHERE subject_id IS NOT DISTINCT FROM %s", [subject]
        )
        return {row[0]: Key(row[0], row[1], bytes(row[2])) for row in cursor.fetchall()}


def prove() -> None:
    """Refuse to start when a key is missing or wrong: open one data key of every key-encryption key in use."""
    keyring()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('phr_datakey')")
        if cursor.fetchone()[0] is None:
            return
        cursor.execute("SELECT DISTINCT ON (kek) kek, subject_id, version, wrapped FROM phr_datakey ORDER BY kek")
        for kek, subject, version, wrapped in cursor.fetchall():
            try:
                unwrap(bytes(wrapped), subject, version, kek)
            except CannotOpen as error:
                raise ImproperlyConfigured(f"{error}. {HINT}") from None


def rewrap(*, batch: int = 1000) -> int:
    """Wrap every data key anew by the current key-encryption key; returns how many. Resumable."""
    ring, done = keyring(), 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, subject_id, version, kek, wrapped FROM phr_datakey WHERE kek <> %s ORDER BY id LIMIT %s",
                [ring.current, batch],
            )
            rows = [
                (wrap(unwrap(bytes(w), s, v, k), subject=s, version=v, kek=ring.current), ring.current, i, k)
                for i, s, v, k, w in cursor.fetchall()
            ]
            if not rows:
                return done
            cursor.executemany("UPDATE phr_datakey SET wrapped = %s, kek = %s WHERE id = %s AND kek = %s", rows)
        done += len(rows)


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
