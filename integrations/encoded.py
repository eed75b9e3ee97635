"""Base64 in the JSON bodies of the import doors."""

from __future__ import annotations

import binascii
from base64 import b64decode

from phr.fhir.outcome import Problem


def base64_bytes(text: object, place: str) -> bytes:
    """The bytes. Raises Problem (400) naming the place."""
    try:
        if isinstance(text, str):
            return b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        pass
    raise Problem(400, "invalid", "base64 ではありません。Not base64.", place)
