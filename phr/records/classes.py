"""Which categories a code stands for: `classes.csv` as lookup tables. Pure.

Rows of the table: system (short name), code, categories, note. A code may be exact, a prefix
("5F016*") or an ICD-10 range ("O00-O08"). For one system the longest match decides, exact before
prefix; for ICD-10 every labelled range that matches counts, else the last (narrowest) ordinary one.
Names of medicines ("drug-name") are searched inside a text, in its folded form.

Sources: LOINC, JLAC10 analyte classes, ICD-10 (2013), HL7 v3 ActCode sensitivity, 薬効分類 (the first
digits of a YJ code), the item lists of prenatal, newborn, infant, school and postpartum checkups.
"""

from __future__ import annotations

import csv
import re
from functools import cache, lru_cache
from pathlib import Path

from consent.scope import LABELS, Category
from phr.records import systems
from phr.records.search.normal import normal

SYSTEMS = {
    systems.LOINC: "loinc", systems.JLAC10: "jlac10", systems.BODY_MEASUREMENT: "body", systems.OWN_ITEM: "item",
    f"{systems.OWN}/CodeSystem/visit-kind": "visit", systems.ICD10: "icd10", systems.ICD10_JP: "icd10",
    "http://hl7.org/fhir/sid/icd-10-cm": "icd10", systems.DISEASE_RECEIPT: "receipt", systems.YJ: "yj",
    systems.ACT_CODE: "act", systems.OWN_CATEGORY: "category",
}  # fmt: skip
_ICD10 = re.compile(r"^[A-Z]\d{2}[0-9A-Z]{0,4}$", re.ASCII)


@cache
def _tables() -> tuple[dict[str, dict[str, int]], dict[str, list[tuple[str, int]]], list[tuple[str, str, int]]]:
    """(exact codes per system, prefixes per system, longest first; ICD-10 ranges)."""
    exact: dict[str, dict[str, int]] = {}
    prefixes: dict[str, list[tuple[str, int]]] = {}
    ranges: list[tuple[str, str, int]] = []
    with (Path(__file__).parent / "classes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            mask = int(sum({Category[name] for name in row["categories"].split()}))
            system, code = row["system"], row["code"]
            if system == "icd10":
                low, _, high = code.partition("-")
                ranges.append((low, high, mask))
            elif code.endswith("*"):
                prefixes.setdefault(system, []).append((code[:-1], mask))
            else:
                exact.setdefault(system, {})[normal(code) if system == "drug-name" else code] = mask
    for rows in prefixes.values():
        rows.sort(key=lambda row: -len(row[0]))
    return exact, prefixes, ranges


@lru_cache(maxsize=8192)
def of_code(system: str, code: str) -> int:
    """The category mask of a code; 0 = not known."""
    name = SYSTEMS.get(systems.preferred(system))
    if name is None:
        return 0
    if name == "icd10":
        return _of_icd10(code)
    exact, prefixes, _ = _tables()
    if found := exact.get(name, {}).get(code):
        return found
    return next((mask for prefix, mask in prefixes.get(name, ()) if code.startswith(prefix)), 0)


def _of_icd10(code: str) -> int:
    code = code.replace(".", "").upper()
    if not _ICD10.match(code):
        return 0
    labels, ordinary = 0, 0
    for low, high, mask in _tables()[2]:
        if low <= code[: len(low)] and code[: len(high)] <= high:
            if mask & LABELS:
                labels |= mask
            else:
                ordinary = mask
    return labels | ordinary


@lru_cache(maxsize=4096)
def of_medicine(text: str) -> int:
    """Labels a medicine's name gives away; 0 = none."""
    folded = normal(text)
    mask = 0
    for name, labels in _tables()[0]["drug-name"].items():
        if name in folded:
            mask |= labels
    return mask


def of_questionnaire(canonical: str) -> int:
    """The category mask of one of our own Questionnaires; 0 = not known."""
    url = canonical.partition("|")[0]
    stem = f"{systems.OWN}/Questionnaire/"
    return _tables()[0]["questionnaire"].get(url.removeprefix(stem), 0) if url.startswith(stem) else 0
