"""What a line of the log is called outside: a name that tells nothing, and leads back to its line.

The number of a line counts everybody's lines: two of them would tell how much happened in between, to others and out
of the reader's sight. Its name is one block of AES over the number and half of the line's random salt: looked up by
the number, guessed by nobody, the same every time.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from django.db.models import QuerySet

from consent.models import AuditEntry
from phr.records import vault

LENGTH = 32  # hexadecimal digits
_HALF = 8  # bytes


def name_of(row: AuditEntry) -> str:
    """The name of a line: 32 hexadecimal digits."""
    plain = row.pk.to_bytes(_HALF, "big") + bytes(row.salt)[:_HALF]
    block = _cipher(vault.index_key()).encryptor()
    return (block.update(plain) + block.finalize()).hex()


def named(rows: QuerySet[AuditEntry], name: str) -> AuditEntry | None:
    """The line of that name, if it is one of `rows`."""
    if len(name) != LENGTH or set(name) - set("0123456789abcdef"):
        return None
    block = _cipher(vault.index_key()).decryptor()
    plain = block.update(bytes.fromhex(name)) + block.finalize()
    number = int.from_bytes(plain[:_HALF], "big")
    row = rows.filter(pk=number).first() if number < 1 << 63 else None
    return row if row is not None and bytes(row.salt)[:_HALF] == plain[_HALF:] else None


@lru_cache(maxsize=2)
def _cipher(key: bytes) -> Cipher[ECB]:
    """A single block, never the same twice: there is nothing to chain."""
    return Cipher(AES(sha256(b"names of log lines|" + key).digest()), ECB())  # noqa: S305 - one block of its own
