"""Generate the table of units from the UCUM essence file.

    python -m phr.records.definitions.units UCUM_ESSENCE.xml

Written beside this file: `units.json.gz`: `prefixes`: code -> factor; `atoms`: code -> [may have a prefix, factor,
unit it is measured in, kind]; kind: "base", "arbitrary" (of its own kind, never converted), "special" (on a scale
of its own: degrees Celsius, pH) or "". The mole counts as a base unit: an amount of substance is no mere number.

Source: UCUM 2.2, unitsofmeasure.org. This table is derived from the UCUM table, UCUM codes and UCUM definitions,
subject to a license from Regenstrief Institute, Inc. and The UCUM Organization. Current complete UCUM tables are
available for download at https://ucum.org. The UCUM table, codes and definitions are copyright 1995-2024,
Regenstrief Institute, Inc. and The UCUM Organization. All rights reserved. They come "as is", without warranty.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

HERE = Path(__file__).parent
ESSENCE = "{http://unitsofmeasure.org/ucum-essence}"


def unit_table(root: ElementTree.Element) -> dict[str, Any]:
    """The table from the root element of the essence file."""
    prefixes = {p.get("Code", ""): _of(p, "value").get("value", "") for p in root.findall(f"{ESSENCE}prefix")}
    atoms: dict[str, list[Any]] = {b.get("Code", ""): [1, "1", "", "base"] for b in root.findall(f"{ESSENCE}base-unit")}
    for unit in root.findall(f"{ESSENCE}unit"):
        value = _of(unit, "value")
        function = value.find(f"{ESSENCE}function")
        found = value if function is None else function
        kind = "special" if unit.get("isSpecial") == "yes" else "arbitrary" if unit.get("isArbitrary") == "yes" else ""
        row = [int(unit.get("isMetric") == "yes"), found.get("value"), found.get("Unit"), kind]
        atoms[unit.get("Code", "")] = [1, "1", "", "base"] if unit.get("Code") == "mol" else row
    return {"prefixes": prefixes, "atoms": atoms}


def _of(element: ElementTree.Element, name: str) -> ElementTree.Element:
    found = element.find(ESSENCE + name)
    assert found is not None, name
    return found


if __name__ == "__main__":
    table = unit_table(ElementTree.parse(sys.argv[1]).getroot())  # noqa: S314 - UCUM's own file, given by hand
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    (HERE / "units.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))
