"""The concept maps and units as values. Pure.

`code_maps.csv`: from the ConceptMaps of JAMI's ssmix2-to-fhir (draft of 2023-01), CC0-1.0. `units_ucum.csv`: units as
Japanese laboratories write them; UCUM codes are used under the UCUM terms.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent


def _rows(name: str) -> list[dict[str, str]]:
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


_MAPS = _rows("code_maps.csv")


def _map(name: str) -> Mapping[str, str]:
    return {row["source_code"]: row["target_code"] for row in _MAPS if row["map"] == name and row["target_code"]}


GENDER = _map("v2-0001-to-administrativegender")
ENCOUNTER_CLASS = _map("v2-0004-to-v3-actcode")
ALLERGY_CATEGORY = _map("v2-0127-to-allergyintolerancecategory")
REACTION_SEVERITY = _map("v2-0128-to-reactioneventseverity")
ENCOUNTER_STATUS = _map("v2-0003-to-encounterstatus")  # by trigger event; kinds.py has the same, and a test compares
PLACE_STATUS = _map("v2-0003-to-encounterlocationstatus")
UNITS: Mapping[str, str] = {row["local_unit"]: row["ucum"] for row in _rows("units_ucum.csv")}
