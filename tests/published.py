"""What others publish and the project may not ship: HL7's definitions and examples of R4, JP Core 1.2.0.

Each is named by a variable of the environment, or lies in `shared/fhir/`, a folder beside the project. A test that
asks for what is in neither place skips and says which variable would name it; a variable that names nothing fails.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "fhir"


def jp_core() -> Path:
    """The package of JP Core 1.2.0 (`.tgz`)."""
    return _lying("JP_CORE_PACKAGE", BESIDE / "jpcore-1.2.0" / "jpcore-1.2.0.tgz", "JP Core 1.2.0")


def definitions() -> Path:
    """The folder with HL7's definitions of R4: bundles (`profiles-resources.json.gz` and the like)."""
    return _lying("FHIR_R4_DEFINITIONS", BESIDE / "r4", "HL7's definitions of R4")


def examples() -> Path:
    """The package of HL7's examples of R4 (`hl7.fhir.r4.examples`, `.tgz`)."""
    return _lying("FHIR_R4_EXAMPLES", BESIDE / "r4" / "examples.tgz", "the package of HL7's examples of R4")


def _lying(variable: str, beside: Path, thing: str) -> Path:
    named = os.environ.get(variable)
    place = Path(named) if named else beside
    if place.exists():
        return place
    if named:
        pytest.fail(f"{variable} names {place}, where nothing is")
    pytest.skip(f"NOT TRIED against {thing}: {variable} is not set, and nothing lies at ../shared/fhir")
