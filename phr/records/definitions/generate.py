"""Generate the compact tables from a folder with HL7's R4 definition bundles.

    python -m phr.records.definitions.generate FOLDER

FOLDER holds `profiles-resources.json.gz`, `profiles-types.json.gz`, `search-parameters.json.gz`,
`valuesets.json.gz`, `v3-codesystems.json.gz` and `compartmentdefinition-patient.json` as HL7
publishes them (gzip'ed). Written beside this file:

* `elements.json.gz`: `resources` (concrete types); `types`: type or backbone path -> element ->
  [types ("Reference>Patient,Group"), min, max (0 = many), flags (1 summary, 2 modifier), codes index];
* `codes.json.gz`: value sets of required bindings that can be enumerated: [{system: [codes]}];
  SNOMED CT is left out, and what cannot be enumerated has no row (not checkable, never empty);
* `search.json.gz`: `ids`: parameter name -> small int, kept from the table that is there, because
  they stand in the database; `types`: type -> name -> [kind, expression, targets, data types,
  components [name, expression], stored]; `compartments`: Patient, Encounter, RelatedPerson, Practitioner,
  Device -> type -> parameters ("{def}": the resource itself).

`stored` = [[name, only type], …] where the index keeps a parameter under other names: `patient` is
`subject` restricted to Patient, `combo-code` is `code` plus `component-code`. It saves a third of the index.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

from phr.records import definitions
from phr.records.definitions.repairs import STRAY_PARAMETERS, repaired, repaired_parameter
from phr.records.definitions.valuesets import Terminology
from phr.records.search import paths

HERE = Path(__file__).parent
PROFILE = "http://hl7.org/fhir/StructureDefinition/"
TYPE_EXTENSION = PROFILE + "structuredefinition-fhir-type"

# JP Core 1.2.0, its own search parameters: (type, name, kind, expression)
_JP = "http://jpfhir.jp/fhir/core/Extension/StructureDefinition/JP_"
_EN = PROFILE + "iso21090-EN-representation"
JP_PARAMS = [
    ("Coverage", "jp-insured-personnumber", "string",
     f"Coverage.extension('{_JP}Coverage_InsuredPersonNumber').value.ofType(string)"),
    ("Coverage", "jp-insured-personsubnumber", "string",
     f"Coverage.extension('{_JP}Coverage_InsuredPersonSubNumber').value.ofType(string)"),
    ("Coverage", "jp-insured-personsymbol", "string",
     f"Coverage.extension('{_JP}Coverage_InsuredPersonSymbol').value.ofType(string)"),
    ("MedicationRequest", "jp-medication-start", "date",
     f"MedicationRequest.dosageInstruction.extension('{_JP}MedicationDosage_PeriodOfUse').value.ofType(Period).start"),
    ("Organization", "jp-insurance-organizationcategory", "token",
     f"Organization.extension('{_JP}Organization_InsuranceOrganizationCategory').value.ofType(Coding)"),
    ("Organization", "jp-insurance-organizationno", "token",
     f"Organization.extension('{_JP}Organization_InsuranceOrganizationNo').value.ofType(Identifier)"),
    ("Organization", "jp-prefectureno", "token",
     f"Organization.extension('{_JP}Organization_PrefectureNo').value.ofType(Coding)"),
    ("Patient", "jp-kana-sort", "string",
     f"Patient.name.where(extension('{_EN}').value.ofType(code)='SYL' and use='usual').text"),
]  # fmt: skip


def main(folder: Path) -> None:
    """Write the three tables."""
    structures = _resources(folder, "profiles-resources") + _resources(folder, "profiles-types")
    structures = [
        s for s in structures
        if s["resourceType"] == "StructureDefinition" and s["kind"] != "logical"
        and s["fhirVersion"].startswith("4.0.")  # some distributions slip R4B's SubscriptionStatus in
    ]  # fmt: skip
    terminology = Terminology(_resources(folder, "valuesets") + _resources(folder, "v3-codesystems"))
    elements, codes = element_tables(structures, terminology)
    _write("elements", elements)
    _write("codes", codes)
    definitions.elements_table.cache_clear()
    definitions.concrete_types.cache_clear()
    compartments = {r["code"]: r for r in _resources(folder, "profiles-resources")
                    if r["resourceType"] == "CompartmentDefinition"}  # fmt: skip
    compartments["Patient"] = json.loads((folder / "compartmentdefinition-patient.json").read_text())
    _write("search", search_tables(_resources(folder, "search-parameters"), compartments))


def element_tables(structures: list[Any], terminology: Terminology) -> tuple[dict[str, Any], list[Any]]:
    """(elements table, codes table) from StructureDefinitions with snapshots."""
    types: dict[str, dict[str, Any]] = {}
    codes: list[Any] = []
    known: dict[str, int | None] = {}
    for structure in structures:
        types[structure["name"]] = {}
        for element in structure["snapshot"]["element"][1:]:
            path, _, name = element["path"].rpartition(".")
            if element.get("max") == "0":
                continue
            # the definitions call Resource.id a string; its format is that of id (FHIR R4 2.24.0.1)
            kinds = ["id"] if name == "id" and structure["kind"] == "resource" and path == structure["name"] else None
            row = [kinds or _types(element), element["min"], 0 if element["max"] == "*" else int(element["max"]),
                   bool(element.get("isSummary")) | bool(element.get("isModifier")) << 1,
                   _binding(element, terminology, codes, known)]  # fmt: skip
            types.setdefault(path, {})[name] = row
    resources = sorted(s["name"] for s in structures if s["kind"] == "resource" and not s["abstract"])
    group_measure = types["EvidenceVariable.characteristic"].get("groupMeasure", [["code"], 0, 1, 0, None])
    return {"resources": resources, "types": repaired(types, group_measure)}, codes


def _types(element: Any) -> list[str]:
    if reference := element.get("contentReference"):
        return [reference.removeprefix("#")]
    found: list[str] = []
    for entry in element.get("type", []):
        code = entry["code"]
        for extension in entry.get("extension", []):
            if extension["url"] == TYPE_EXTENSION:
                code = extension["valueUrl"]
        if code.startswith("http://hl7.org/fhirpath/System."):
            code = code.rpartition(".")[2].lower()
        if code in ("BackboneElement", "Element") and element["path"].count("."):
            code = element["path"]
        if code == "OperationOutcome":  # so in some distributions; R4 says Resource (Bundle.entry.response.outcome)
            code = "Resource"
        targets = [t.removeprefix(PROFILE) for t in entry.get("targetProfile", [])]
        found.append(code + (">" + ",".join(targets) if targets and code == "Reference" else ""))
    return found


def _binding(element: Any, terminology: Terminology, codes: list[Any], known: dict[str, int | None]) -> int | None:
    binding = element.get("binding", {})
    if binding.get("strength") != "required" or "valueSet" not in binding:
        return None
    url = binding["valueSet"].partition("|")[0]
    if url not in known:
        expansion = terminology.expand(url)
        known[url] = len(codes) if expansion else None
        if expansion:
            codes.append({system: sorted(values) for system, values in sorted(expansion.items())})
    return known[url]


def search_tables(parameters: list[Any], compartments: dict[str, Any]) -> dict[str, Any]:
    """The search table: ids, parameters per concrete type, compartments."""
    rows: dict[str, dict[str, list[Any]]] = {}
    names_of = {parameter["url"]: parameter["code"] for parameter in parameters}
    for parameter in map(repaired_parameter, parameters):
        expressions = paths.split_by_base(parameter["expression"]) if "expression" in parameter else {}
        for base in parameter["base"]:
            if (base, parameter["code"]) in STRAY_PARAMETERS:
                continue
            components = [[names_of[c["definition"]], c["expression"]] for c in parameter.get("component", [])]
            row = [parameter["type"], expressions.get(base, ""), parameter.get("target", []), [], components, []]
            rows.setdefault(base, {})[parameter["code"]] = row
    for base, name, kind, expression in JP_PARAMS:
        rows[base][name] = [kind, expression, [], [], [], []]
    common = rows.pop("Resource") | rows.pop("DomainResource")
    concrete = definitions.concrete_types()
    types = {}
    for base in sorted(concrete):
        types[base] = {name: list(row) for name, row in sorted((common | rows.get(base, {})).items())}
        _complete(base, types[base])
    names = sorted({name for params in types.values() for name in params})
    return {"ids": _ids(names), "types": types,
            "compartments": {code: _members(c) for code, c in sorted(compartments.items())}}  # fmt: skip


def _members(compartment: Any) -> dict[str, list[str]]:
    """Type -> parameters; "{def}" is the resource the compartment is named after."""
    return {r["code"]: r["param"] for r in compartment["resource"] if r.get("param")}


def _ids(names: list[str]) -> dict[str, int]:
    """Ids of parameter names: those given once stay, new names follow."""
    here = HERE / "search.json.gz"
    ids: dict[str, int] = json.loads(gzip.decompress(here.read_bytes()))["ids"] if here.exists() else {}
    for name in names:
        ids.setdefault(name, max(ids.values(), default=0) + 1)
    return ids


def _complete(base: str, params: dict[str, list[Any]]) -> None:
    """Fill in data types, all targets where any is allowed, and where each parameter is stored."""
    leaves: dict[str, frozenset[paths.Leaf]] = {}
    for name, row in params.items():
        if row[0] == "composite" or not row[1]:
            continue
        leaves[name] = frozenset(paths.resolve(base, row[1]))
        row[3] = sorted({leaf.type for leaf in leaves[name]})
        if len(row[2]) > 100:
            row[2] = ["*"]
    for name, own in leaves.items():
        params[name][5] = _stored(name, own, {n: v for n, v in leaves.items() if params[n][0] == params[name][0]})


def _stored(name: str, own: frozenset[paths.Leaf], others: dict[str, frozenset[paths.Leaf]]) -> list[list[str]]:
    """[[name, only type]] under which a parameter is kept; empty = under its own name."""
    if name.startswith("_") or name == "phonetic":  # what sounds alike is kept beside the name it is read from
        return []
    same = min(n for n, leaves in others.items() if leaves == own)
    if same != name:
        return _stored(same, own, others) or [[same, ""]]
    only = {leaf.only for leaf in own}
    if len(only) == 1 and (kind := only.pop()):
        bare = frozenset(paths.Leaf(leaf.steps, leaf.type) for leaf in own)
        wider = sorted(n for n, leaves in others.items() if leaves == bare)
        return [[wider[0], kind]] if wider else []
    parts = sorted(n for n, leaves in others.items() if leaves < own and not n.startswith("_"))
    parts = [n for n in parts if not _stored(n, others[n], others)]
    covered: frozenset[paths.Leaf] = frozenset()
    chosen = []
    for part in sorted(parts, key=lambda n: (-len(others[n]), n)):
        if not others[part] & covered:
            chosen.append([part, ""])
            covered |= others[part]
    return sorted(chosen) if covered == own else []


def _resources(folder: Path, name: str) -> list[Any]:
    bundle = json.loads(gzip.decompress((folder / f"{name}.json.gz").read_bytes()))
    return [entry["resource"] for entry in bundle["entry"]]


def _write(name: str, table: Any) -> None:
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    (HERE / f"{name}.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
