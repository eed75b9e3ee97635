"""What is not supported is refused by name, as the list says, and not claimed anywhere."""

from __future__ import annotations

import pytest

from phr.fhir.operations import calling
from phr.populate.cast import YUKI
from phr.records.definitions import concrete_types
from tests.conformance.not_supported import NOT_SUPPORTED, Item
from tests.family import Neighbourhood, pressure, rows


@pytest.mark.parametrize("item", NOT_SUPPORTED, ids=str)
def test_it_is_refused_by_name(family: Neighbourhood, item: Item) -> None:
    made = family.mother.made(pressure())
    family.mother.made(pressure())
    before = rows()
    app = family.clinic if item.of_clinic else family.mother
    path = item.path.replace("{observation}", made["id"]).replace("{patient}", str(YUKI))
    body = item.body.replace(b"{patient}", str(YUKI).encode()) if item.body is not None else None
    answer = app.ask(item.method, path, body, type=item.type, headers=item.headers)
    assert (answer.status, answer.issue["severity"]) == (item.status, "error"), answer
    assert item.says in answer.issue["diagnostics"], answer
    assert rows() == before


def test_nothing_on_the_list_is_claimed(family: Neighbourhood) -> None:
    rest = family.anonymous.get("metadata").json["rest"][0]
    claimed = {(r["type"], o["name"]) for r in rest["resource"] for o in r.get("operation", [])}
    claimed |= {("", o["name"]) for o in rest["operation"]}
    listed = {(i.path.partition("$")[0].partition("/")[0], i.thing[1:]) for i in NOT_SUPPORTED if i.thing[0] == "$"}
    assert not claimed & {pair for pair in listed if " " not in pair[1]}


# The 46 operations R4 defines: name@type (HL7 R4 4.0.1, OperationDefinitions; `Resource`: any type)
OF_R4 = [
    "apply@ActivityDefinition", "data-requirements@ActivityDefinition", "conforms@CapabilityStatement",
    "implements@CapabilityStatement", "subset@CapabilityStatement", "versions@CapabilityStatement",
    "apply@ChargeItemDefinition", "submit@Claim", "find-matches@CodeSystem", "lookup@CodeSystem",
    "subsumes@CodeSystem", "validate-code@CodeSystem", "document@Composition", "closure@ConceptMap",
    "translate@ConceptMap", "submit@CoverageEligibilityRequest", "everything@Encounter", "everything@Group",
    "data-requirements@Library", "find@List", "care-gaps@Measure", "collect-data@Measure",
    "data-requirements@Measure", "evaluate-measure@Measure", "submit-data@Measure",
    "everything@MedicinalProduct", "process-message@MessageHeader", "preferred-id@NamingSystem",
    "lastn@Observation", "stats@Observation", "everything@Patient", "match@Patient", "apply@PlanDefinition",
    "data-requirements@PlanDefinition", "convert@Resource", "graph@Resource", "graphql@Resource",
    "meta@Resource", "meta-add@Resource", "meta-delete@Resource", "validate@Resource",
    "questionnaire@StructureDefinition", "snapshot@StructureDefinition", "transform@StructureMap",
    "expand@ValueSet", "validate-code@ValueSet",
]  # fmt: skip


@pytest.mark.spec("FHIR R4", "operationslist", "every operation of R4 is offered, or is on the list")
def test_every_operation_of_r4_is_offered_or_on_the_list() -> None:
    offered = {o.name for type in (*concrete_types(), calling.ANY, calling.SYSTEM) for o in calling.offered(type)}
    at = {(o.name, type) for type in concrete_types() for o in calling.offered(type)}
    listed = {(i.thing[1:], i.path.partition("/")[0].partition("$")[0]) for i in NOT_SUPPORTED if i.thing[0] == "$"}
    alone = {name for name, _ in listed}
    assert len(OF_R4) == 46
    for name, _, type in (operation.partition("@") for operation in OF_R4):
        here = (name, type) in at or (type == "Resource" and name in offered)
        noted = (name, type) in listed or (name in alone and (type == "Resource" or (name, "") in listed))
        assert here or noted, f"{name} of {type} is neither offered nor on the list"


def test_each_thing_stands_once() -> None:
    assert len({(i.method, i.path, i.type, *i.headers.items()) for i in NOT_SUPPORTED}) == len(NOT_SUPPORTED)
    assert all(i.why and i.section for i in NOT_SUPPORTED)
