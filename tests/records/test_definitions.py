"""The generated tables: complete, small, and with parameter ids that never move."""

from __future__ import annotations

from typing import Any

import pytest

from phr.records import definitions
from phr.records.search.params import param_ids, params_for
from phr.records.search.paths import BadExpression, resolve, split_by_base
from tests.records.samples import all_params

# These stand in the database: a change here is a change of every Range and Text row.
STABLE = {"_id": 2, "birthdate": 54, "code": 73, "date": 122, "name": 254, "patient": 283, "subject": 405,
          "value-quantity": 445}  # fmt: skip


@pytest.mark.spec("FHIR R4", "resourcelist", "146 concrete resource types")
def test_all_concrete_types_are_there() -> None:
    assert len(definitions.concrete_types()) == 146
    assert {"Patient", "Observation", "Immunization", "MedicinalProduct"} <= definitions.concrete_types()
    assert (
        not {"SubscriptionStatus", "Citation", "Resource", "DomainResource", "MetadataResource"}
        & definitions.concrete_types()
    )


def test_the_tables_are_small() -> None:
    assert sum(p.stat().st_size for p in definitions.HERE.glob("*.json.gz")) < 1_500_000


def test_parameter_ids_are_stable_and_fit_smallint() -> None:
    ids = param_ids()
    assert {name: ids[name] for name in STABLE} == STABLE
    assert len(set(ids.values())) == len(ids)
    assert all(0 < i < 32768 for i in ids.values())


def test_every_search_parameter_compiles() -> None:
    compiled = [param for param in all_params() if param.expression and param.type not in ("composite", "special")]
    for param in compiled:
        leaves = resolve(param.base, param.expression)
        assert leaves, (param.base, param.name)
        assert {leaf.type for leaf in leaves} == set(param.types)
    assert len(compiled) > 2500


def test_every_composite_has_components_that_compile() -> None:
    composites = [param for param in all_params() if param.type == "composite"]
    assert len(composites) == 72  # 46 in R4; some stand on many types
    for param in composites:
        bases = resolve(param.base, param.expression)
        for name, expression in param.components:
            assert name in params_for(param.base)
            whole = expression.replace("%resource", param.base)
            starts = {param.base} if whole != expression else {base.type for base in bases}
            assert any(_reaches(start, whole) for start in starts), (param.base, param.name, expression)


def _reaches(type_name: str, expression: str) -> bool:
    try:
        return bool(resolve(type_name, expression))
    except BadExpression:
        return False


@pytest.mark.parametrize("expression", ["", "Observation.", "Observation.nothing", "Observation.code.where(",
                                        "Observation.code)", "Observation.value.trace('x')",
                                        "Observation | ;"])  # fmt: skip
def test_an_expression_outside_the_subset_is_refused(expression: Any) -> None:
    with pytest.raises(BadExpression):
        resolve("Observation", expression)


def test_a_multi_type_expression_is_split_by_type() -> None:
    parts = split_by_base("Patient.name | (Person.name as HumanName) | Patient.contact.name")
    assert parts == {"Patient": "Patient.name | Patient.contact.name", "Person": "(Person.name as HumanName)"}


def test_what_is_kept_under_another_name() -> None:
    params = params_for("Observation")
    assert [(k.name, k.only) for k in params["patient"].kept] == [("subject", "Patient")]
    assert {k.name for k in params["combo-code"].kept} == {"code", "component-code"}
    assert params["code"].own
    for param in all_params():  # what is pointed to keeps its own values
        assert param.own or all(params_for(param.base)[k.name].own for k in param.kept), (param.base, param.name)


def test_bindings_that_cannot_be_enumerated_are_no_bindings() -> None:
    """Never an empty set: that would refuse every code."""
    for index in range(len(definitions._codes())):
        assert any(definitions.codes(index).values())
    assert definitions.fields("Attachment")["contentType"].codes is None  # BCP 13 is not enumerable
    status = definitions.fields("Observation")["status"]
    assert status.codes is not None
    assert definitions.codes(status.codes)["http://hl7.org/fhir/observation-status"] >= {"final", "amended"}


def test_the_patient_compartment() -> None:
    assert definitions.patient_compartment()["Observation"] == ("subject", "performer")
    assert "Organization" not in definitions.patient_compartment()
