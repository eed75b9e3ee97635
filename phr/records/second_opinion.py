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

Shape = object
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


class Sampled:
    """`check` for what mappings of ours make by the million in few shapes: of each the first few, and then a share.

    A shape is the type and what stands where: names of elements, kinds of JSON values, types of what is contained.
    A shape that is refused once is new again. See decisions/second-opinion-by-shape.md.
    """

    FIRST, SHARE, MOST_SHAPES = 3, 50, 5000

    def __init__(self) -> None:
        self._met: dict[Shape, int] = {}

    def check(self, resource: Mapping[str, Any]) -> list[Problem]:
        """As the function `check`, or [] where the shape is well known and this one is not drawn."""
        shape = shape_of(resource)
        met = self._met.get(shape, 0)
        if met >= self.FIRST and met % self.SHARE:
            self._met[shape] = met + 1
            return []
        problems = check(resource)
        if len(self._met) >= self.MOST_SHAPES:
            self._met.clear()
        self._met[shape] = 0 if problems else met + 1
        return problems


def shape_of(node: Any) -> Shape:
    """What `fhir.resources` looks at, but for the spelling of single values, which our walker checks as well."""
    kind: type[Any] = type(node)
    if kind is dict:
        return tuple([(k, v if k == "resourceType" else shape_of(v)) for k, v in node.items()])
    if kind is list:
        return (list, frozenset([shape_of(one) for one in node]))
    # Of what is blank throughout the library knows fewer characters than R4.
    return node if kind is str and node.isspace() else kind


def _path(name: str, steps: tuple[int | str, ...]) -> str:
    return name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


@cache
def _validator(name: str) -> Callable[[Mapping[str, Any]], Any]:
    module = importlib.import_module(f"fhir.resources.R4B.{name.lower()}")
    validate: Callable[[Mapping[str, Any]], Any] = getattr(module, name).model_validate
    return validate
