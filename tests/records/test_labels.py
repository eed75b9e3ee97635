"""Security labels are found, and leave, wherever a resource bears them."""

from __future__ import annotations

import copy
from typing import Any

from consent.scope import Level
from phr.records import labels
from phr.records.facts import facts_of
from tests.family import CONFIDENTIALITY, pressure, secret

RESTRICTED = {"system": CONFIDENTIALITY, "code": "R"}


def parcel() -> dict[str, Any]:
    """A restricted resource inside one that says nothing of labels."""
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": pressure()}, {"resource": secret()}]}


def test_labels_are_found_inside() -> None:
    assert labels.of(secret()) == [RESTRICTED]
    assert labels.of(parcel()) == [RESTRICTED]
    assert labels.of(pressure()) == []


def test_no_label_is_left_and_nothing_else_is_taken() -> None:
    removed = labels.removed(copy.deepcopy(parcel()))
    assert labels.of(removed) == []
    assert removed["entry"][0] == parcel()["entry"][0]
    assert removed["entry"][1]["resource"] == secret() | {"meta": {}}


def test_what_is_inside_makes_the_whole_restricted() -> None:
    inside = parcel()
    assert facts_of(inside | {"id": "x"}, author=None).level < Level.L4
    inside["entry"][1]["resource"]["meta"]["security"][0]["code"] = "V"
    assert facts_of(inside | {"id": "x"}, author=None).level == Level.L4
