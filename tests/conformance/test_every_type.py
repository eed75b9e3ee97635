"""All resource types of R4 are stored, read, found, updated and deleted (R4 resourcelist)."""

from __future__ import annotations

from typing import Any

import pytest

from consent.scope import OPEN_TYPES
from phr.populate.cast import YUKI
from phr.records.definitions import concrete_types, fields
from tests.family import Neighbourhood, decoded, encoded
from tests.records.samples import sample


def about_yuki(value: Any) -> Any:
    """The sample with every Patient made Yuki."""
    if isinstance(value, dict):
        return {key: about_yuki(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [about_yuki(inner) for inner in value]
    return f"Patient/{YUKI}" if value == "Patient/1" else value


def made(name: str) -> dict[str, Any]:
    resource = dict(about_yuki(sample(name, depth=1)))
    for element in ("subject", "patient"):
        target = {"reference": f"Patient/{YUKI}"}
        targets = [t for _, ts in fields(name)[element].types for t in ts] if element in fields(name) else []
        if {"Patient", "Resource"} & set(targets):
            resource[element] = [target] if fields(name)[element].max is None else target
            resource.pop(f"{element}CodeableConcept", None)
            resource.pop(f"{element}Reference", None)
    if name == "Consent":
        resource["status"] = "proposed"  # what others than the family write waits for them
    for element in ("id", "education"):  # an education of nothing breaks imm-1
        resource.pop(element, None)
    return resource


@pytest.mark.spec("FHIR R4", "2.2", "every resource type is stored whole, and refused only for want of a Patient")
@pytest.mark.parametrize("name", sorted(concrete_types() - {"Patient", "AuditEvent"}))
def test_a_type_lives_through_its_life(family: Neighbourhood, name: str) -> None:
    resource, clinic = made(name), family.clinic
    answer = clinic.create(resource)
    if answer.status == 422:
        # Types that can name no Patient and are not open: nobody would ever be allowed to read them.
        assert name not in OPEN_TYPES
        assert str(YUKI) not in str(resource), answer
        return
    assert answer.status == 201, answer
    stored = answer.json
    assert {k: v for k, v in stored.items() if k not in ("id", "meta")} == {
        k: v for k, v in decoded(encoded(resource)).items() if k != "meta"
    }
    path = f"{name}/{answer.id}"
    assert clinic.get(path).content == answer.content
    assert clinic.search(name, _id=answer.id).ids == [answer.id]
    again = clinic.put(stored | {"language": "ja"})
    assert (again.status, again.headers["ETag"]) == (200, 'W/"2"'), again
    assert len(clinic.get(f"{path}/_history").json["entry"]) == 2
    gone = clinic.delete(path)
    if name in OPEN_TYPES and str(YUKI) not in str(resource):
        assert gone.status == 403  # what belongs to no one is never deleted through this door
    else:
        assert gone.status == 204
        assert clinic.get(path).status == 410
