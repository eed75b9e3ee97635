"""Generate the compact R4 structures from a folder with HL7's R4 definition bundles.

    python -m phr.records.profiles.generate FOLDER

FOLDER holds `profiles-resources.json.gz`, `profiles-types.json.gz`, `profiles-others.json.gz` and
`extension-definitions.json.gz` as HL7 publishes them (gzip'ed). Written beside this file: `r4.jsonl.zst`:
the urls, then one StructureDefinition a line in their order, each with what conformance needs: no text, no mappings.

Left out of a snapshot: `id` and unconstrained `extension`, `modifierExtension` children (an element that is not
listed is unconstrained), and the invariants that come with a type (ele-1, ext-1): the walker asks the type itself.
Logical models are not carried.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import zstandard

HERE = Path(__file__).parent
TYPE_EXTENSION = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_HEAD = ("url", "version", "name", "kind", "abstract", "type", "baseDefinition", "derivation", "context",
         "contextInvariant")  # fmt: skip
_ELEMENT = ("id", "path", "sliceName", "slicing", "min", "max", "contentReference")
_TYPE_RULES = frozenset({"ele-1", "ext-1"})
_PLUMBING = frozenset({"id", "extension", "modifierExtension"})


def main(folder: Path) -> None:
    """Write the structures."""
    found = {}
    for name in ("extension-definitions", "profiles-others", "profiles-types", "profiles-resources"):
        bundle = json.loads(gzip.decompress((folder / f"{name}.json.gz").read_bytes()))
        for entry in bundle["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] == "StructureDefinition" and _wanted(resource):
                found[resource["url"]] = compact(resource)
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in
             (sorted(found), *(found[url] for url in sorted(found)))]  # fmt: skip
    packed = zstandard.ZstdCompressor(level=22).compress("\n".join(lines).encode())
    (HERE / "r4.jsonl.zst").write_bytes(packed)
    print(f"{len(found)} structures, {len(packed):,} bytes")


def _wanted(resource: dict[str, Any]) -> bool:
    return bool(resource["kind"] != "logical" and resource["fhirVersion"].startswith("4.0."))


def compact(structure: dict[str, Any]) -> dict[str, Any]:
    """A StructureDefinition with what conformance needs."""
    kept = {"resourceType": "StructureDefinition"} | {k: structure[k] for k in _HEAD if k in structure}
    elements = [_element(e) for e in structure["snapshot"]["element"]]
    return kept | {"snapshot": {"element": [e for e in elements if not _plain(e)]}}


def _element(element: dict[str, Any]) -> dict[str, Any]:
    kept = {k: element[k] for k in _ELEMENT if k in element}
    kept |= {k: v for k, v in element.items() if k.startswith(("fixed", "pattern"))}
    if "slicing" in kept:
        kept["slicing"] = {k: v for k, v in kept["slicing"].items() if k != "description"}
    if "type" in element:
        kept["type"] = [_type(t) for t in element["type"]]
    if "binding" in element and "valueSet" in element["binding"]:
        kept["binding"] = {k: element["binding"][k] for k in ("strength", "valueSet")}
    root = "." not in element["path"]
    rules = [
        {k: c[k] for k in ("key", "severity", "human", "expression") if k in c}
        for c in element.get("constraint", [])
        if "expression" in c and (root or c["key"] not in _TYPE_RULES)
    ]
    if root and element.get("isModifier"):
        kept["isModifier"] = True
    return kept | ({"constraint": rules} if rules else {})


def _type(entry: dict[str, Any]) -> dict[str, Any]:
    code = entry["code"]
    for extension in entry.get("extension", []):
        if extension["url"] == TYPE_EXTENSION:
            code = extension["valueUrl"]
    if code.startswith("http://hl7.org/fhirpath/System."):
        code = code.rpartition(".")[2].lower()
    kept = {k: entry[k] for k in ("profile", "targetProfile", "aggregation") if k in entry}
    return {"code": code} | kept


def _plain(element: dict[str, Any]) -> bool:
    """Whether an element is left out: `id`, or extensions nothing is said about."""
    name = element["path"].rpartition(".")[2]
    if "." not in element["path"] or name not in _PLUMBING or {"slicing", "sliceName"} & element.keys():
        return False
    plain_type = not any("profile" in t for t in element.get("type", []))
    return element["max"] != "0" and element["min"] == 0 and plain_type and "constraint" not in element


if __name__ == "__main__":
    main(Path(sys.argv[1]))
