"""Data keys: one per subject (and a commons key), wrapped by a key-encryption key.

Whoever lacks the wrapped data key lacks what it sealed; erasing a person is deleting it (crypto-shredding).
Bodies are sealed by `phr.records.vault`, the log's details by `consent.audit`: both with these keys.

    wrapped key   = nonce(12) ciphertext(48)
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from consent import prepared
from consent.refusal import Absent

HINT = "PHR_KEYS holds 'id:base64 of 32 bytes', comma separated; keep every key that ever sealed data."


# Nobody erased: and no erasure of her commits between this look and the end of the transaction. Of two that look the
# second waits (a share lock would let both in, and each wait for the other should both go on to change the row).
_LIVING = "FROM consent_subject WHERE id = %s AND state <> 'erased' FOR NO KEY UPDATE"
_MAKE = f"""
INSERT INTO consent_datakey (version, kek, wrapped, subject_id) SELECT %s, %s, %s, id {_LIVING} ON CONFLICT DO NOTHING
"""
_MAKE_COMMONS = """
INSERT INTO consent_datakey (subject_id, version, kek, wrapped) VALUES (NULL, %s, %s, %s) ON CONFLICT DO NOTHING
"""


class CannotOpen(Exception):
    """A sealed value does not open: wrong key, wrong place, or altered bytes."""


class Erased(Absent):
    """A key was wanted for a person who is erased, or not here: none is made again."""


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
def cipher(raw: bytes) -> AESGCM:
    return AESGCM(raw)


def keys_for(subjects: Iterable[UUID | None]) -> dict[UUID | None, Key]:
    """The newest data key of each subject (None = the commons), made where there is none yet.

    Raises Erased where one of them is erased: what was destroyed is never made anew.
    """
    wanted = set(subjects)
    found = _load(wanted)
    if missing := wanted - found.keys():
        _make(missing)
        found |= _load(missing)
    if wanted - found.keys():
        raise Erased
    return found


def _make(missing: set[UUID | None]) -> None:
    kek = keyring().current
    made = {s: wrap(AESGCM.generate_key(256), subject=s, version=1, kek=kek) for s in missing}
    with connection.cursor() as cursor:
        if None in made:
            cursor.execute(_MAKE_COMMONS, [1, kek, made.pop(None)])
        # In one order: two that make the same keys wait once, and never for each other.
        cursor.executemany(_MAKE, [(1, kek, made[s], s) for s in sorted(made, key=str)])


def require_living(subject: UUID) -> None:
    """Hold a person's row until the transaction ends: what is written of her meanwhile, an erasure finds.

    Call it before any other lock. Raises Erased.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 {_LIVING}", [subject])
        if cursor.fetchone() is None:
            raise Erased


def _load(subjects: set[UUID | None]) -> dict[UUID | None, Key]:
    rows = prepared.fetch(
        "SELECT DISTINCT ON (subject_id) subject_id, version, kek, wrapped FROM consent_datakey"
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
            "SELECT version, kek, wrapped FROM consent_datakey WHERE subject_id IS NOT DISTINCT FROM %s", [subject]
        )
        return {row[0]: Key(row[0], row[1], bytes(row[2])) for row in cursor.fetchall()}


def prove() -> None:
    """Refuse to start when a key is missing or wrong: open one data key of every key-encryption key in use."""
    keyring()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('consent_datakey')")
        if cursor.fetchone()[0] is None:
            return
        cursor.execute("SELECT DISTINCT ON (kek) kek, subject_id, version, wrapped FROM consent_datakey ORDER BY kek")
        for kek, subject, version, wrapped in cursor.fetchall():
            try:
                unwrap(bytes(wrapped), subject, version, kek)
            except CannotOpen as error:
                raise ImproperlyConfigured(f"{error}. {HINT}") from None


def ready() -> None:
    """`prove`, and make the commons key where there is none: nobody's first line shall wait for another's commit."""
    prove()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('consent_datakey')")
        if cursor.fetchone()[0] is not None:
            keys_for([None])


def rewrap(*, batch: int = 1000) -> int:
    """Wrap every data key anew by the current key-encryption key; returns how many. Resumable."""
    ring, done = keyring(), 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, subject_id, version, kek, wrapped FROM consent_datakey"
                " WHERE kek <> %s ORDER BY id LIMIT %s",
                [ring.current, batch],
            )
            rows = [
                (wrap(unwrap(bytes(w), s, v, k), subject=s, version=v, kek=ring.current), ring.current, i, k)
                for i, s, v, k, w in cursor.fetchall()
            ]
            if not rows:
                return done
            cursor.executemany("UPDATE consent_datakey SET wrapped = %s, kek = %s WHERE id = %s AND kek = %s", rows)
        done += len(rows)
