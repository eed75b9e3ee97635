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


def _bound(caller: Caller, query: Question) -> bytes:
    who = f"{caller.client}|{caller.person}|{caller.organization}|{caller.subject}"
    return hashlib.blake2b(f"{who}|{query.fingerprint}".encode(), digest_size=16).digest()


def sealed(mark: Mark, *, caller: Caller, query: Question) -> str:
    nonce = os.urandom(12)
    text = msgspec.json.encode([mark.high_water, mark.began, *mark.after])
    text += b" " * (-len(text) % PAD)  # row ids count rows of others: their digits must not show in the length
    return base64.urlsafe_b64encode(nonce + _cipher().encrypt(nonce, text, _bound(caller, query))).decode().rstrip("=")


def opened(text: str, *, caller: Caller, query: Question) -> Mark:
    """Read a cursor. Raises BadSearch when it is not one of ours, another caller's, or another search's."""
    if not text.isascii():
        raise BadSearch("_page", "this page link is not valid for this search")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        high_water, began, *after = msgspec.json.decode(_cipher().decrypt(raw[:12], raw[12:], _bound(caller, query)))
    except (binascii.Error, ValueError, InvalidTag, msgspec.DecodeError):
        raise BadSearch("_page", "this page link is not valid for this search") from None
    return Mark(high_water, tuple(after), began)
