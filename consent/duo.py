"""Does an intended use fit what data was given for? Terms of the GA4GH Data Use Ontology. Pure.

A program says what its data may be used for: one permission, any modifiers, and for DS the MONDO id of its
disease. A request says what it means to do.
The permissions nest: disease specific ⊂ health/medical/biomedical ⊂ general research use.
Source: GA4GH Data Use Ontology (DUO), https://github.com/EBISPOT/DUO.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

GRU, HMB, DS = "DUO:0000042", "DUO:0000006", "DUO:0000007"  # permissions, widest first
NPU, NCU, IRB = "DUO:0000045", "DUO:0000046", "DUO:0000021"  # not for profit, non-commercial, ethics approval needed
TS, US, PUB = "DUO:0000025", "DUO:0000026", "DUO:0000019"  # time limit, named users only, must publish
PERMISSIONS = (GRU, HMB, DS)
MODIFIERS = frozenset({NPU, NCU, IRB, TS, US, PUB})
KNOWN = frozenset(PERMISSIONS) | MODIFIERS
_DISEASE = re.compile(r"MONDO:[0-9]{7}")


@dataclass(frozen=True, slots=True)
class Intended:
    """What a request means to do. `use`: one permission; `disease`: a MONDO id where the use is of one disease."""

    use: str = GRU
    disease: str = ""
    profit: bool = True  # what is not said is the worse
    commercial: bool = True
    approved: bool = False  # an ethics committee of the recipient's approved it
    publishes: bool = False

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Intended:
        """Read what a request keeps; keys and types were checked at the door."""
        return cls(**{name: told[name] for name in cls.__slots__ if name in told})


def understood(codes: Iterable[str]) -> bool:
    """Whether these are one permission and known modifiers, with one disease exactly where it is for one."""
    named = list(codes)
    diseases = [code for code in named if _DISEASE.fullmatch(code)]
    terms = [code for code in named if code not in diseases]
    if len(set(named)) != len(named) or not set(terms) <= KNOWN or sum(c in PERMISSIONS for c in terms) != 1:
        return False
    return len(diseases) == (1 if DS in terms else 0)


def known_use(intended: Intended) -> bool:
    """Whether the use and the disease are spelled as they must be."""
    return intended.use in PERMISSIONS and (not intended.disease or _DISEASE.fullmatch(intended.disease) is not None)


def fits(codes: Iterable[str], intended: Intended, *, limited: bool, named: bool) -> bool:
    """Whether the intended use lies inside the permission and satisfies every modifier; unknown codes fit nothing.

    `limited`: the request ends in time; `named`: the recipient is one of the program's.
    """
    given = set(codes)
    if not understood(given):
        return False
    permission = next(code for code in PERMISSIONS if code in given)
    return _inside(permission, intended, given) and all((
        NPU not in given or not intended.profit,
        NCU not in given or not intended.commercial,
        IRB not in given or intended.approved,
        TS not in given or limited,
        US not in given or named,
        PUB not in given or intended.publishes,
    ))  # fmt: skip


def _inside(permission: str, intended: Intended, given: set[str]) -> bool:
    if intended.use not in PERMISSIONS or PERMISSIONS.index(intended.use) < PERMISSIONS.index(permission):
        return False
    return permission != DS or intended.disease in given
