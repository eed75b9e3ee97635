"""The sealed part of a log line: its detail, under the data key of the person it is about.

    sealed detail = owner(1) nonce(12) ciphertext      owner 1 = the line's subject, 0 = the commons key

The additional data names the line (its salt), its subject and the key version: a detail cannot be moved to another
line. A line about nobody, or about a person whose keys are gone, is sealed by the commons key. Where a key was
destroyed the detail is gone for ever, and the log's seals hold: they are made over the sealed bytes.

Keys are remembered from line to line. A remembered key is never trusted: the statement that keeps the line asks
whether its row still stands (`STANDS`), so nothing is sealed by a key that was destroyed meanwhile.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent import keys, prepared

REMEMBERED = 8192  # keys
COMMONS, OWN = b"\x00", b"\x01"
# Whether a remembered key's row still stands, as it was: neither destroyed nor wrapped anew.
STANDS = "EXISTS (SELECT FROM consent_datakey k WHERE k.id = {id} AND k.wrapped = {wrapped})"

_NEWEST = """
SELECT DISTINCT ON (subject_id) subject_id, id, version, kek, wrapped FROM consent_datakey
 WHERE subject_id = ANY(%s::uuid[]) ORDER BY subject_id, version DESC
"""
_COMMONS = """
SELECT NULL::uuid, id, version, kek, wrapped FROM consent_datakey
 WHERE subject_id IS NULL ORDER BY version DESC LIMIT 1
"""
_OF_ROWS = """
SELECT k.subject_id, k.version, k.kek, k.wrapped FROM consent_datakey k
 WHERE k.subject_id = ANY(%s::uuid[]) OR k.subject_id IS NULL
"""
_LIVING = "SELECT id FROM consent_subject WHERE id = ANY(%s::uuid[]) AND state <> 'erased'"


@dataclass(frozen=True, slots=True)
class Held:
    """A data key at hand: its row, and the cipher it opens to."""

    id: int
    owner: UUID | None
    version: int
    wrapped: bytes
    cipher: AESGCM


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a line keeps of its detail, and the key that must still stand."""

    key: Held
    salt: bytes
    detail: bytes


_held: OrderedDict[UUID | None, Held] = OrderedDict()
_lock = threading.Lock()


def key_of(subject: UUID | None) -> Held:
    """The key that seals lines about this person; remembered, or read, or made."""
    return keys_of([subject])[subject]


def keys_of(subjects: Iterable[UUID | None]) -> dict[UUID | None, Held]:
    """The same of many persons, in at most one query where all have keys."""
    wanted = set(subjects)
    with _lock:
        found = {s: held for s in wanted if (held := _held.get(s))}
        for subject in found:
            _held.move_to_end(subject)
    if missing := wanted - found.keys():
        read = _read(missing)
        with _lock:
            _held.update({s: held for s, held in read.items() if s == held.owner})
            while len(_held) > REMEMBERED:
                _held.popitem(last=False)
        found |= read
    return found


def forget(subjects: Iterable[UUID | None]) -> None:
    """Read these persons' keys anew the next time."""
    with _lock:
        for subject in subjects:
            _held.pop(subject, None)


def _read(subjects: set[UUID | None]) -> dict[UUID | None, Held]:
    persons = {s for s in subjects if s}
    found = _rows(_NEWEST, [[str(s) for s in persons]]) if persons else {}
    if keyless := persons - found.keys():
        living = {row[0] for row in prepared.fetch(_LIVING, [[str(s) for s in keyless]])}
        if living:
            with suppress(keys.Erased):  # erased between the two looks: the commons key seals the line
                keys.keys_for(living)
            found |= _rows(_NEWEST, [[str(s) for s in living]])
    if subjects - found.keys():
        found |= {s: _commons() for s in subjects - found.keys()}
    return found


def _commons() -> Held:
    with _lock:
        held = _held.get(None)
    if held is not None:
        return held
    found = _rows(_COMMONS, [])
    if not found:
        keys.keys_for([None])
        found = _rows(_COMMONS, [])
    return found[None]


def _rows(sql: str, params: Sequence[Any]) -> dict[UUID | None, Held]:
    found: dict[UUID | None, Held] = {}
    for owner, id, version, kek, wrapped in prepared.fetch(sql, params):
        raw = keys.unwrap(bytes(wrapped), owner, version, kek)
        found[owner] = Held(id, owner, version, bytes(wrapped), keys.cipher(raw))
    return found


def seal(detail: str, *, subject: UUID | None, key: Held) -> Sealed:
    """Seal one line's detail (JSON text)."""
    salt, nonce = os.urandom(16), os.urandom(12)
    owner = COMMONS if key.owner is None else OWN
    told = key.cipher.encrypt(nonce, detail.encode(), _place(salt, subject, owner, key.version))
    return Sealed(key, salt, owner + nonce + told)


def _place(salt: bytes, subject: UUID | None, owner: bytes, version: int) -> bytes:
    return b"consent_auditentry|detail|%b|%b|%b|%d" % (salt.hex().encode(), str(subject).encode(), owner, version)


Row = tuple[UUID | None, int, bytes, bytes]  # subject, key_version, salt, detail


def opened(rows: Sequence[Row]) -> list[dict[str, Any] | None]:
    """The details of lines, beside them; None where the key is gone or does not open (its
    key-encryption key is missing), or the bytes are not what was sealed."""
    persons = sorted({str(subject) for subject, _, _, detail in rows if subject and detail[:1] == OWN})
    found: Mapping[tuple[UUID | None, int], keys.Key] = {
        (owner, version): keys.Key(version, kek, bytes(wrapped))
        for owner, version, kek, wrapped in (prepared.fetch(_OF_ROWS, [persons]) if rows else ())
    }
    return [_opened(row, found) for row in rows]


def _opened(row: Row, found: Mapping[tuple[UUID | None, int], keys.Key]) -> dict[str, Any] | None:
    subject, version, salt, sealed = row
    owner = subject if sealed[:1] == OWN else None
    key = found.get((owner, version))
    if key is None:
        return None
    try:
        cipher = keys.cipher(keys.unwrap(key.wrapped, owner, version, key.kek))
        plain = cipher.decrypt(sealed[1:13], sealed[13:], _place(salt, subject, sealed[:1], version))
    except (keys.CannotOpen, InvalidTag, ValueError):  # ValueError: not even as long as a nonce
        return None
    told: dict[str, Any] = json.loads(plain)
    return told
