"""Generate `r4.json.zst` from a folder with HL7's R4 definition bundles.

    python -m phr.records.terminology.generate FOLDER

FOLDER holds `valuesets.json.gz`, `v3-codesystems.json.gz`, `v2-tables.json.gz`, `conceptmaps.json.gz` and the
four bundles with structure definitions, as HL7 publishes them (gzip'ed). Written beside this file: one JSON object
`{"CodeSystem": […], "ValueSet": […], "ConceptMap": […]}` of FHIR resources without narrative and contacts.

What belongs to others (LOINC, DICOM, ASTM, UB-04 …) is kept only as far as a required binding of R4 needs it, and
SNOMED CT not at all. Where codes of an `include` were taken out, it says `"leftOut": true`: not known, never empty.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import zstandard

HERE = Path(__file__).parent
SNOMED = "http://snomed.info/sct"
OURS_TO_GIVE = ("http://hl7.org/fhir/", "http://terminology.hl7.org/")  # CC0
OTHERS = re.compile(
    r"SNOMED|IHTSDO|LOINC|DICOM|ASTM|UB04|NUBC|ISO Standard|IHE|E-Health Transition|Terminology Standards"
)
DEFINITIONS = ("profiles-resources", "profiles-types", "profiles-others", "extension-definitions")
TERMINOLOGY = ("valuesets", "v3-codesystems", "v2-tables", "conceptmaps")
KEPT = {
    "resourceType", "id", "url", "version", "name", "title", "status", "experimental", "description", "copyright",
    "caseSensitive", "valueSet", "hierarchyMeaning", "content", "supplements", "property", "filter", "concept",
    "compose", "sourceUri", "sourceCanonical", "targetUri", "targetCanonical", "group",
}  # fmt: skip


def main(folder: Path) -> None:
    """Write the table."""
    needed = required_value_sets(folder)
    resources = [r for name in TERMINOLOGY for r in _resources(folder, name)]
    needed |= {s for r in resources if r["url"] in needed for s in _systems(r)}
    table: dict[str, list[Any]] = {"CodeSystem": [], "ValueSet": [], "ConceptMap": []}
    for resource in resources:
        if (kept := _kept(resource, needed)) is not None:
            table[resource["resourceType"]].append(kept)
    for rows in table.values():
        rows.sort(key=lambda r: (r["url"], r.get("version", "")))
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    (HERE / "r4.json.zst").write_bytes(zstandard.ZstdCompressor(level=22).compress(text))


def required_value_sets(folder: Path) -> set[str]:
    """The value sets that R4's own resources, types, profiles and extensions bind to as required."""
    found = set()
    for name in DEFINITIONS:
        for structure in _resources(folder, name):
            for element in structure.get("snapshot", {}).get("element", []):
                binding = element.get("binding", {})
                if binding.get("strength") == "required" and "valueSet" in binding:
                    found.add(binding["valueSet"].partition("|")[0])
    return found


def _systems(resource: Any) -> set[str]:
    return {i["system"] for i in resource.get("compose", {}).get("include", []) if "system" in i}


def _kept(resource: Any, needed: set[str]) -> Any:
    kept = _without_extensions({k: v for k, v in resource.items() if k in KEPT})
    kept["url"], _, glued = kept["url"].partition("|")  # R4 glues versions to the URLs of three v2 tables
    if glued:
        kept["version"] = glued
    match kept["resourceType"]:
        case "CodeSystem":
            return kept if kept["url"] in needed or _may_be_given(kept) else None
        case "ValueSet":
            for include in kept["compose"].get("include", []) + kept["compose"].get("exclude", []):
                _leave_out(include, required=kept["url"] in needed)
        case "ConceptMap":
            groups = [g for g in kept["group"] if all(_hl7(g.get(end, "")) for end in ("source", "target"))]
            return kept | {"group": groups} if groups else None
    return kept


def _may_be_given(system: Any) -> bool:
    return _hl7(system["url"]) and not OTHERS.search(system.get("copyright", ""))


def _hl7(system: str) -> bool:
    return system.startswith((*OURS_TO_GIVE, "http://example.org/", "http://cds-hooks.hl7.org/")) or not system


def _leave_out(include: Any, *, required: bool) -> None:
    system = include.get("system", "")
    if "concept" in include and (system == SNOMED or not (required or _hl7(system))):
        del include["concept"]
        include["leftOut"] = True


def _without_extensions(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _without_extensions(v) for k, v in node.items() if k not in ("extension", "id") or "url" in node}
    return [_without_extensions(item) for item in node] if isinstance(node, list) else node


def _resources(folder: Path, name: str) -> list[Any]:
    bundle = json.loads(gzip.decompress((folder / f"{name}.json.gz").read_bytes()))
    return [entry["resource"] for entry in bundle["entry"]]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
