"""Ids that a client gives (R4 http.html §3.1.0.4.1 "Update as Create"): each writer has a beginning of its own.

Hidden and absent ids must be alike. If anybody could create under any free id, a refusal would say that the id
is taken. So a client may name new resources only below a prefix that nobody else writes under: what is there,
it has put there itself. See decisions/ids-of-the-clients-own.md.
"""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import blake2b

from consent.decide import Caller

LINKS = "guardianship-"  # of RelatedPerson: what a guardian's fhirUser names; made for her, never stored
LETTERS = 10  # of base32: 50 bits
_GIVEN = re.compile(rf"[a-z2-7]{{{LETTERS}}}-")


def prefix_of(caller: Caller, *, author: int | None, key: bytes) -> str:
    """What the ids begin with that this caller gives: its own for each client of an organisation, and for each
    client of a person in each record she keeps, since a mother's app names things in hers and in her child's."""
    writer = f"person:{caller.person}|{caller.subject}" if author is None else f"org:{author}"
    digest = blake2b(f"ids\x1f{writer}\x1f{caller.client}".encode(), digest_size=8, key=key).digest()
    return b32encode(digest).decode().lower()[:LETTERS] + "-"


def given(id: str) -> bool:
    """Whether a client gave this id: its resource was created by an update. The server's own begin otherwise."""
    return _GIVEN.match(id) is not None
