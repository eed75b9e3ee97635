"""What a family's app writes through this door counts against its quota (phr/smart/quota.py): 429 when it is spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phr.fhir.outcome import Problem
from phr.records.gateway import Records
from phr.smart import quota

COUNTED = ("POST", "PUT", "PATCH")


def charge(records: Records, resources: int = 1, *, requests: int | None = None) -> None:
    """Count it, or raise Problem (429, with Retry-After). Before anything is carried out."""
    try:
        quota.spend(records.caller, resources, now=records.now, requests=requests)
    except quota.Spent as error:
        if error.most is not None:
            text = f"一日の上限 {error.most} 件を超えています。More than {error.most}, what a day allows."
            raise Problem(429, "throttled", text) from None
        text = f"書き込みの上限です。{error.wait} 秒後に送り直してください。Spent: again in {error.wait} s."
        raise Problem(429, "throttled", text, Retry_After=str(error.wait)) from None


def writing(bundle: Mapping[str, Any]) -> int:
    """How many entries of a Bundle (as it came, unchecked) write something."""
    raw = bundle.get("entry")
    if not isinstance(raw, list):
        return 0
    requests = [item.get("request") for item in raw if isinstance(item, dict) and "resource" in item]
    return sum(isinstance(r, dict) and r.get("method") in COUNTED for r in requests)
