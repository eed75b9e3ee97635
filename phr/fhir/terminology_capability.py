"""The TerminologyCapabilities: which code systems are at hand, and how they can be asked (`metadata?mode=terminology`).

Source: R4 http.html §3.1.0.10 (`mode`), terminologycapabilities.html.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from phr.fhir import release, wire
from phr.fhir.operations import calling
from phr.records import terminology

_NO_EXPANSION_PARAMETERS = {"url", "valueSet", "valueSetVersion"}


def statement() -> bytes:
    """The same for everyone; what the record keeps is no part of it."""
    return _statement(wire.base(), terminology.mark())


@lru_cache(maxsize=2)
def _statement(base: str, mark: object) -> bytes:
    expand = next(o for o in calling.offered("ValueSet") if o.name == "expand")
    return msgspec.json.encode(
        {
            "resourceType": "TerminologyCapabilities",
            "url": f"{base}/metadata?mode=terminology",
            "version": release.VERSION,
            "name": "TsumugiTerminology",
            "status": "active",
            "date": release.DATE,
            "publisher": "Tsumugi",
            "kind": "instance",
            "software": {"name": "紡 Tsumugi", "version": release.VERSION},
            "implementation": {"description": "R4 と読み込まれた用語 R4's and loaded terminology", "url": base},
            "lockedDate": False,
            "codeSystem": [
                _code_system(url, versions) for url, versions in terminology.library().code_systems().items()
            ],
            "expansion": {
                "hierarchical": False,
                "paging": True,
                "incomplete": True,
                "parameter": [{"name": i.name} for i in expand.inputs if i.name not in _NO_EXPANSION_PARAMETERS],
                "textFilter": "幅・かな・大小を問わず全ての語を含むもの。All words, whatever width, kana or case.",
            },
            "codeSearch": "all",
            "validateCode": {"translations": False},
            "translation": {"needsMap": True},
        }
    )


def _code_system(url: str, versions: list[str]) -> dict[str, Any]:
    told = [{"code": version, "isDefault": version == versions[-1]} for version in versions if version]
    return {"uri": url, "subsumption": True} | ({"version": told} if told else {})
