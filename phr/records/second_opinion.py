"""`fhir.resources` asked after our own walker found nothing: two independent readings of the structure, either refuses.

The library knows R4B; types that R4 has alone, or in another shape, are ours to judge alone.
See decisions/structure-from-definitions.md.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from phr.records.validate import MOST, Problem

# Reshaped between R4 and R4B, or absent from R4B.
ALONE = frozenset({
    "EffectEvidenceSynthesis", "Evidence", "EvidenceVariable", "MedicinalProduct",
    "MedicinalProductAuthorization", "MedicinalProductContraindication", "MedicinalProductIndication",
    "MedicinalProductIngredient", "MedicinalProductInteraction", "MedicinalProductManufactured",
    "MedicinalProductPackaged", "MedicinalProductPharmaceutical", "MedicinalProductUndesirableEffect",
    "RiskEvidenceSynthesis", "SubstanceNucleicAcid", "SubstancePolymer", "SubstanceProtein",
    "SubstanceReferenceInformation", "SubstanceSourceMaterial", "SubstanceSpecification",
})  # fmt: skip


def check(resource: Mapping[str, Any]) -> list[Problem]:
    """The library's problems with a resource that `validate.check` found sound; empty = it agrees."""
    name = resource["resourceType"]
    if name in ALONE:
        return []
    try:
        _validator(name)(resource)
    except ValidationError as error:
        return [
            Problem("error", "structure", _path(name, e["loc"]), e["msg"])
            for e in error.errors(include_url=False, include_input=False, include_context=False)[:MOST]
        ]
    except Exception as error:  # noqa: BLE001 - whatever else a model trips over is a refusal, never a 500
        return [Problem("error", "structure", name, f"not readable as {name} ({type(error).__name__})")]
    return []


def _path(name: str, steps: tuple[int | str, ...]) -> str:
    return name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


@cache
def _validator(name: str) -> Callable[[Mapping[str, Any]], Any]:
    module = importlib.import_module(f"fhir.resources.R4B.{name.lower()}")
    validate: Callable[[Mapping[str, Any]], Any] = getattr(module, name).model_validate
    return validate
