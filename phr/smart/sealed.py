"""Small secrets of accounts at rest: sealed by a key-encryption key, bound to their place; and keyed hashes to find by.

sealed value = nonce(12) ciphertext, AES-256-GCM under the key-encryption key named beside it
"""

from __future__ import annotations

import os
from hashlib import blake2b

from cryptography.exceptions import InvalidTag

from consent.keys import CannotOpen, keyring
from phr.records import vault
from phr.smart.login_models import CardAccount, CardCertificate, Totp


def seal(value: bytes, *, place: str) -> tuple[bytes, str]:
    """The sealed value and the name of the key that sealed it. `place` (what and whose) must be said again to open."""
    ring, nonce = keyring(), os.urandom(12)
    return nonce + ring.keys[ring.current].encrypt(nonce, value, _aad(place)), ring.current


def opened(sealed: bytes | memoryview, kek: str, *, place: str) -> bytes:
    """The value. Raises CannotOpen: another place, altered bytes, or a key no longer in PHR_KEYS."""
    key, told = keyring().keys.get(kek), bytes(sealed)
    if key is None:
        raise CannotOpen(f"key-encryption key {kek!r} is not in PHR_KEYS")
    try:
        return key.decrypt(told[:12], told[12:], _aad(place))
    except InvalidTag:
        raise CannotOpen("a sealed account secret was altered or moved") from None


def _aad(place: str) -> bytes:
    return f"account|{place}".encode()


def blind(*values: str) -> bytes:
    """A keyed hash (32 bytes) to find a value by without keeping it."""
    return blake2b("\x1f".join(values).encode("utf-8", "replace"), key=vault.index_key(), digest_size=32).digest()


def totp_place(person: int) -> str:
    return f"totp|{person}"


def card_place(person: int) -> str:
    return f"card|{person}"


def certificate_place(person: int) -> str:
    return f"certificate|{person}"


def rewrap() -> int:
    """Seal every account secret by the current key-encryption key; returns how many. Resumable."""
    current, done = keyring().current, 0
    for model, column, place in (
        (Totp, "secret", totp_place), (CardAccount, "subject", card_place),
        (CardCertificate, "serial", certificate_place),
    ):  # fmt: skip
        for row in model.objects.exclude(kek=current):
            where = place(row.person_id)
            sealed, kek = seal(opened(getattr(row, column), row.kek, place=where), place=where)
            done += model.objects.filter(pk=row.pk, kek=row.kek).update(**{column: sealed, "kek": kek})
    return done


def rehash() -> int:
    """Hash anew what is found by hash, after PHR_INDEX_KEY changed; returns how many."""
    accounts, certificates = CardAccount.objects.all(), CardCertificate.objects.all()
    for account in accounts:
        subject = opened(account.subject, account.kek, place=card_place(account.person_id)).decode()
        CardAccount.objects.filter(pk=account.pk).update(subject_hash=blind("card", account.issuer, subject))
    for row in certificates:
        serial = opened(row.serial, row.kek, place=certificate_place(row.person_id)).decode()
        CardCertificate.objects.filter(pk=row.pk).update(serial_hash=blind("certificate", serial))
    return len(accounts) + len(certificates)
