"""Profiles that hold on every write (setting PHR_PROFILES_ENFORCED). What claims none costs nothing.

Words: `own`: the project's draft profiles, where a resource claims them in meta.profile; `claimed`: every profile
that is claimed and known; a canonical URL: every resource of its type, whether it claims it or not. Only errors
refuse; a binding that cannot be checked, or an invariant that cannot be evaluated, never does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from django.conf import settings

from phr.records.profiles import bundled, conform, judging, packages
from phr.records.profiles.structure import Unwalkable
from phr.records.validate import Problem

OWN: Final = "own"
CLAIMED: Final = "claimed"


def problems(resource: Mapping[str, Any], *, now: datetime) -> list[Problem]:
    """The errors of a sound resource against the profiles that are enforced; empty = it may be written."""
    enforced: Sequence[str] = settings.PHR_PROFILES_ENFORCED
    claims = conform.claims_of(resource)
    urls = [word for word in enforced if ":" in word]
    if not claims and not urls:
        return []
    wanted = [claim for claim in claims if _holds(claim, enforced)]
    wanted += [url for url in urls if _type(packages.generation(), url) == resource["resourceType"]]
    if not wanted:
        return []
    local = all(bundled.canonical(url.partition("|")[0]) is not None for url in wanted)
    library = judging.bundled_only() if local else judging.at_hand()
    found = conform.check(
        resource, list(dict.fromkeys(wanted)), library=library, member=judging.member, now=now, base=False, claims=False
    )
    return [p for p in found if p.severity == "error"]


def _holds(claim: str, enforced: Sequence[str]) -> bool:
    """Whether a claimed profile is enforced. What is claimed and not known cannot be."""
    url = claim.partition("|")[0]
    if OWN in enforced and url in bundled.own():
        return True
    return CLAIMED in enforced and packages.structure(claim) is not None


def missing() -> list[str]:
    """Urls of the setting that name no profile at hand, or one that cannot be checked."""
    urls = [word for word in settings.PHR_PROFILES_ENFORCED if ":" in word]
    return [url for url in urls if _type(packages.generation(), url) is None]


def misspelt() -> list[str]:
    """Words of the setting that are neither a rule nor a url."""
    return [word for word in settings.PHR_PROFILES_ENFORCED if ":" not in word and word not in (OWN, CLAIMED)]


@lru_cache(maxsize=256)
def _type(generation: object, url: str) -> str | None:
    """The type a profile is for."""
    try:
        found = judging.at_hand().profile(url)
    except Unwalkable:
        return None
    return found.type if found is not None else None
