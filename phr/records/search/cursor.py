"""Page cursors: sealed, and bound to the caller and the search, so that none can be forged or lent."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent.decide import Caller
from phr.records import vault
from phr.records.search.parse import BadSearch

PAD = 128  # bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a page ended. Rows stored after `high_water` do not enter; `after` = sort values and row id.

    `began`: when the search began, for an order that updates change (`_lastUpdated`).
    """

    high_water: int
    after: tuple[Any, ...]
    began: str | None = None


class Question(Protocol):
    """What a cursor is bound to: a search or a history. The same fingerprint exactly if the same is asked."""

    @property
    def fingerprint(self) -> str: ...


@lru_cache(maxsize=1)
def _cipher() -> AESGCM:
    return AESGCM(hashlib.blake2b(b"page cursor", key=vault.index_key(), digest_size=32).digest())


def _bound(caller: Caller, epoch: int | None, query: Question) -> bytes:
    who = f"{caller.client}|{caller.person}|{caller.organization}|{caller.subject}|{caller.capacity}|{epoch}"
    return hashlib.blake2b(f"{who}|{query.fingerprint}".encode(), digest_size=16).digest()


def sealed(mark: Mark, *, caller: Caller, epoch: int | None, query: Question) -> str:
    """`epoch`: of the Subject the caller is bound to (None: to none). When consent changes, its page links die."""
    nonce = os.urandom(12)
    text = msgspec.json.encode([mark.high_water, mark.began, *mark.after])
    text += b" " * (-len(text) % PAD)  # row ids count rows of others: their digits must not show in the length
    return (
        base64.urlsafe_b64encode(nonce + _cipher().encrypt(nonce, text, _bound(caller, epoch, query)))
        .decode()
        .rstrip("=")
    )


def opened(text: str, *, caller: Caller, epoch: int | None, query: Question) -> Mark:
    """Read a cursor. Raises BadSearch when it is not one of ours, another caller's, another search's, or of before
    a change of consent."""
    if not text.isascii():
        raise BadSearch("_page", "this page link is not valid for this search")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        high_water, began, *after = msgspec.json.decode(
            _cipher().decrypt(raw[:12], raw[12:], _bound(caller, epoch, query))
        )
    except (binascii.Error, ValueError, InvalidTag, msgspec.DecodeError):
        raise BadSearch("_page", "this page link is not valid for this search") from None
    return Mark(high_water, tuple(after), began)
