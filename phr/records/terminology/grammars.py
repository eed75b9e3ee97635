"""Code systems that are a grammar: nobody lists their codes, but whether a code is one can be said. Pure.

UCUM (units), BCP 47 (languages, RFC 5646 §2.1: well-formed), BCP 13 (media types, RFC 6838 §4.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from phr.records import systems
from phr.records.search import units

LONGEST = 200
_LANGUAGE = re.compile(
    r"[a-z]{2,3}(-[a-z]{3}){0,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))?(-([a-z0-9]{5,8}|\d[a-z0-9]{3}))*"
    r"(-[a-wy-z0-9](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?",
    re.ASCII | re.IGNORECASE,
)
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA = re.compile(
    rf"(application|audio|font|haptics|image|message|model|multipart|text|video)/{_NAME}"
    rf"(\s*;\s*{_NAME}=({_NAME}|\"[^\"\\]*\"))*",
    re.ASCII,
)


def is_code(system: str, code: str) -> bool | None:
    """Whether this is a code of a system that is a grammar; None where the system is none."""
    judge = JUDGES.get(systems.preferred(system))
    return None if judge is None else len(code) <= LONGEST and judge(code)


JUDGES: Mapping[str, Callable[[str], bool]] = {
    systems.UCUM: lambda code: units.canonical(code) is not None,
    "urn:ietf:bcp:47": lambda code: _LANGUAGE.fullmatch(code) is not None,
    "urn:ietf:bcp:13": lambda code: _MEDIA.fullmatch(code) is not None,
}
