"""FHIRPath Patch as a pure function, operation by operation (R4 fhirpatch.html). HL7's own cases inspired these."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phr.fhir import patching
from phr.fhir.element_paths import BadPath, read
from phr.fhir.fhirpath_patch import fhirpath_patch
from phr.fhir.outcome import Problem
from phr.records.gateway import Invalid


def part(name: str, **value: Any) -> dict[str, Any]:
    return {"name": name, **value}


def operation(type: str, path: str, *parts: dict[str, Any], **numbers: int) -> dict[str, Any]:
    told = [part("type", valueCode=type), part("path", valueString=path), *parts]
    return {"name": "operation", "part": told + [part(n, valueInteger=v) for n, v in numbers.items()]}


def add(path: str, name: str, *parts: dict[str, Any], **value: Any) -> dict[str, Any]:
    return operation("add", path, part("name", valueString=name), _value(parts, value))


def insert(path: str, index: int, *parts: dict[str, Any], **value: Any) -> dict[str, Any]:
    return operation("insert", path, _value(parts, value), index=index)


def replace(path: str, *parts: dict[str, Any], **value: Any) -> dict[str, Any]:
    return operation("replace", path, _value(parts, value))


def delete(path: str) -> dict[str, Any]:
    return operation("delete", path)


def move(path: str, source: int, destination: int) -> dict[str, Any]:
    return operation("move", path, source=source, destination=destination)


def _value(parts: tuple[dict[str, Any], ...], value: dict[str, Any]) -> dict[str, Any]:
    return part("value", part=list(parts)) if parts else part("value", **value)


def parameters(*operations: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Parameters"}
    return made | ({"parameter": list(operations)} if operations else {})


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    found = fhirpath_patch(parameters(*operations))({"resourceType": "Patient", **resource})
    assert found.pop("resourceType") == "Patient"
    return found


ONE, TWO, THREE = ({"system": "urn:x", "value": v} for v in "123")
OFFICIAL, USUAL = {"use": "official", "family": "見本"}, {"use": "usual", "family": "例"}


@pytest.mark.spec("FHIR R4", "3.1.5.1", "FHIRPath Patch: add, insert, delete, replace, move")
@pytest.mark.parametrize(
    ("before", "operations", "after"),
    [
        ({"birthDate": "1920-01-01"}, [], {"birthDate": "1920-01-01"}),
        # primitives
        ({"birthDate": "1920-01-01"}, [replace("Patient.birthDate", valueDate="1930-01-01")],
         {"birthDate": "1930-01-01"}),
        ({"birthDate": "1920-01-01"}, [delete("Patient.birthDate")], {}),
        ({}, [delete("Patient.birthDate")], {}),
        ({}, [add("Patient", "birthDate", valueDate="1930-01-01")], {"birthDate": "1930-01-01"}),
        ({"contact": [{"gender": "male"}]}, [replace("Patient.contact[0].gender", valueCode="female")],
         {"contact": [{"gender": "female"}]}),
        ({"contact": [{"gender": "male", "name": {"text": "x"}}]}, [delete("Patient.contact[0].name.text")],
         {"contact": [{"gender": "male"}]}),
        ({"contact": [{"name": {"text": "x"}}]}, [delete("Patient.contact[0].name.text")], {}),
        ({"contact": [{"name": {"text": "x"}}]}, [add("Patient.contact[0]", "gender", valueCode="male")],
         {"contact": [{"name": {"text": "x"}, "gender": "male"}]}),
        # complex ones
        ({}, [add("Patient", "maritalStatus", valueCodeableConcept={"text": "m"})], {"maritalStatus": {"text": "m"}}),
        ({"maritalStatus": {"id": "1", "text": "m"}},
         [replace("Patient.maritalStatus", valueCodeableConcept={"id": "2", "text": "n"})],
         {"maritalStatus": {"id": "2", "text": "n"}}),
        ({}, [add("Patient", "name", valueHumanName=OFFICIAL), add("Patient", "name", valueHumanName=USUAL)],
         {"name": [OFFICIAL, USUAL]}),
        # anonymous types, as deep as necessary
        ({}, [add("Patient", "contact", part("name", valueHumanName={"text": "x"}), part("gender", valueCode="male"),
                  part("relationship", valueCodeableConcept={"text": "a"}),
                  part("relationship", valueCodeableConcept={"text": "b"}))],
         {"contact": [{"name": {"text": "x"}, "gender": "male", "relationship": [{"text": "a"}, {"text": "b"}]}]}),
        ({"contact": [{"gender": "male"}, {"gender": "female"}]},
         [replace("Patient.contact[0]", part("gender", valueCode="other"))],
         {"contact": [{"gender": "other"}, {"gender": "female"}]}),
        # lists
        ({"identifier": [ONE, TWO]}, [insert("Patient.identifier", 2, valueIdentifier=THREE)],
         {"identifier": [ONE, TWO, THREE]}),
        ({"identifier": [ONE, TWO]}, [insert("Patient.identifier", 0, valueIdentifier=THREE)],
         {"identifier": [THREE, ONE, TWO]}),
        ({}, [insert("Patient.identifier", 0, valueIdentifier=THREE)], {"identifier": [THREE]}),
        ({"identifier": [ONE, TWO, THREE]}, [delete("Patient.identifier[1]")], {"identifier": [ONE, THREE]}),
        ({"identifier": [ONE, TWO, THREE]}, [move("Patient.identifier", 0, 2)], {"identifier": [TWO, THREE, ONE]}),
        ({"identifier": [ONE, TWO, THREE]}, [move("Patient.identifier", 2, 0)], {"identifier": [THREE, ONE, TWO]}),
        ({"identifier": [ONE, TWO]}, [replace("Patient.identifier[0].value", valueString="9")],
         {"identifier": [ONE | {"value": "9"}, TWO]}),
        ({"name": [{"given": ["a", "b"]}]}, [insert("Patient.name[0].given", 1, valueString="x")],
         {"name": [{"given": ["a", "x", "b"]}]}),
        # choices go by their plain name, and change their type with their value
        ({"deceasedBoolean": False}, [replace("Patient.deceased", valueDateTime="2026")], {"deceasedDateTime": "2026"}),
        ({}, [add("Patient", "deceased", valueBoolean=True)], {"deceasedBoolean": True}),
        ({"deceasedBoolean": True}, [delete("Patient.deceased.ofType(boolean)")], {}),
        ({"deceasedBoolean": True}, [delete("Patient.deceased.ofType(dateTime)")], {"deceasedBoolean": True}),
        # finding by content
        ({"name": [OFFICIAL, USUAL]}, [replace("Patient.name.where(use = 'usual').family", valueString="y")],
         {"name": [OFFICIAL, USUAL | {"family": "y"}]}),
        ({"name": [OFFICIAL, USUAL]}, [delete("Patient.name.where(use='official' and family='見本')")],
         {"name": [USUAL]}),
        ({"name": [OFFICIAL, USUAL]}, [delete("name.where(use != 'official')")], {"name": [OFFICIAL]}),
        ({"name": [OFFICIAL, USUAL]}, [delete("Patient.name.first()")], {"name": [USUAL]}),
        ({"name": [OFFICIAL, USUAL]}, [delete("Patient.name.last()")], {"name": [OFFICIAL]}),
        ({"name": [OFFICIAL, {"given": ["a"]}]}, [delete("Patient.name.where(given.exists())")], {"name": [OFFICIAL]}),
        ({"name": [OFFICIAL, {"given": ["a"]}]}, [delete("Patient.name.where(given.exists().not())")],
         {"name": [{"given": ["a"]}]}),
        ({"name": [OFFICIAL, {"given": ["a"]}]}, [delete("Patient.name.where(given.empty())")],
         {"name": [{"given": ["a"]}]}),
        ({"name": [{"given": ["a", "b"]}]}, [delete("Patient.name.given.where($this = 'a')")],
         {"name": [{"given": ["b"]}]}),
        ({"multipleBirthInteger": 2}, [delete("Patient.where(multipleBirth = 2).multipleBirth")], {}),
        ({"active": True}, [delete("Patient.where(active = true).active")], {}),
        ({"active": True}, [delete("Patient.where(active = 1).active")], {"active": True}),
        ({"extension": [{"url": "urn:a", "valueString": "x"}, {"url": "urn:b", "valueString": "y"}]},
         [replace("Patient.extension('urn:b').value", valueInteger=3)],
         {"extension": [{"url": "urn:a", "valueString": "x"}, {"url": "urn:b", "valueInteger": 3}]}),
        # what stands beside a primitive goes where the primitive goes
        ({"birthDate": "2019", "_birthDate": {"id": "a"}}, [delete("Patient.birthDate")], {}),
        ({"birthDate": "2019"}, [add("Patient.birthDate", "extension", part("url", valueUri="u"), part("value",
         valueCode="x"))],
         {"birthDate": "2019", "_birthDate": {"extension": [{"url": "u", "valueCode": "x"}]}}),
        ({"birthDate": "2019", "_birthDate": {"extension": [{"url": "u", "valueCode": "x"}]}},
         [delete("Patient.birthDate.extension('u')")], {"birthDate": "2019"}),
        ({"name": [{"given": ["a", "b"], "_given": [None, {"id": "b"}]}]}, [move("Patient.name.given", 1, 0)],
         {"name": [{"given": ["b", "a"], "_given": [{"id": "b"}, None]}]}),
        ({"name": [{"given": ["a", "b"], "_given": [None, {"id": "b"}]}]}, [delete("Patient.name.given[1]")],
         {"name": [{"given": ["a"]}]}),
        ({"name": [{"given": ["a", "b"], "_given": [None, {"id": "b"}]}]},
         [insert("Patient.name.given", 0, valueString="x")],
         {"name": [{"given": ["x", "a", "b"], "_given": [None, None, {"id": "b"}]}]}),
        ({"name": [{"given": ["a"]}]}, [add("Patient.name.given[0]", "id", valueString="i")],
         {"name": [{"given": ["a"], "_given": [{"id": "i"}]}]}),
        # one after the other
        ({}, [add("Patient", "name", valueHumanName={"family": "a"}), replace("Patient.name[0].family",
         valueString="b"),
              delete("Patient.name[0].family")], {}),
        # contained resources are elements too
        ({"contained": [{"resourceType": "Organization", "id": "o", "name": "a"}]},
         [replace("Patient.contained.where(id = 'o').name", valueString="b")],
         {"contained": [{"resourceType": "Organization", "id": "o", "name": "b"}]}),
        ({}, [add("Patient", "contained", resource={"resourceType": "Organization", "id": "o", "name": "a"})],
         {"contained": [{"resourceType": "Organization", "id": "o", "name": "a"}]}),
    ],
)  # fmt: skip
def test_fhirpath_patch(before: dict[str, Any], operations: list[Any], after: dict[str, Any]) -> None:
    assert patched(patching.copied(before), *operations) == after


@pytest.mark.spec("FHIR R4", "3.1.5.1", "one element, of the right type, in this resource; else an error")
@pytest.mark.parametrize(
    "wrong",
    [
        replace("Patient.birthDate", valueDate="2019"), replace("Patient.name", valueHumanName=USUAL),
        replace("Patient", valueString="x"), delete("Patient"), delete("Patient.name"),
        delete("Patient.name.resolve()"), delete("Patient.nonsense"), delete("Patient.name[0].nonsense"),
        delete("Patient.name.where(use = 'official' or use = 'usual')"), delete("Patient.name.where(use ~ 'x')"),
        delete("Patient.name["), delete("Patient.name[-1]"), delete("Patient.name[x]"), delete("Patient.name.where("),
        delete("Patient.name.where(use='x'"), delete("Patient..name"), delete("Observation.code"),
        delete("Patient name"),
        delete("Patient.name.where(use = use)"), delete("Patient.name.where(use = '\\q')"), delete("%resource.name"),
        delete("x" * 1001), delete(".".join(["name"] * 50)), delete("Patient.name.extension(url)"),
        add("Patient", "nonsense", valueString="x"), add("Patient", "gender", valueCode="male"),
        add("Patient.name", "family", valueString="x"), add("Patient", "birthDate", valueString="2019"),
        add("Patient", "birthDate", valueDateTime="2019"), add("Patient", "contact", part("nonsense", valueString="x")),
        add("Patient", "contact", part("gender", valueCode="male"), part("gender", valueCode="male")),
        add("Patient", "birthDate", part("x", valueString="x")),
        add("Patient", "contact", {"_name": {"id": "a"}, "valueString": "x"}),
        add("Patient.birthDate", "value", valueString="x"),
        insert("Patient.name", 3, valueHumanName=USUAL), insert("Patient.name", -1, valueHumanName=USUAL),
        insert("Patient.gender", 0, valueCode="male"), insert("Patient.name[0]", 0, valueHumanName=USUAL),
        insert("Patient.name.given", 0, valueString="x"), insert("Patient", 0, valueString="x"),
        move("Patient.name", 0, 2), move("Patient.name", 2, 0), move("Patient.name", -1, 0),
        move("Patient.address", 0, 0),
        move("Patient.gender", 0, 0), move("Patient.name.where(use='x')", 0, 0),
    ],
)  # fmt: skip
def test_fhirpath_patch_that_does_not_apply(wrong: dict[str, Any]) -> None:
    before = {"name": [OFFICIAL, USUAL], "gender": "female"}
    with pytest.raises(Problem) as refused:
        patched(before, delete("Patient.active"), wrong)
    assert refused.value.status == 422
    assert refused.value.issues[0].expression == "Parameters.parameter[1]"
    assert "1 (" in refused.value.issues[0].diagnostics


@pytest.mark.parametrize(
    "wrong",
    [
        part("something", valueString="x"), {"name": "operation"}, {"_name": {"id": "a"}},
        {"name": "operation", "part": [{"_name": {"id": "a"}, "valueCode": "delete"}]},
        operation("eat", "Patient.name"),
        operation("replace", "Patient.name"), operation("add", "Patient"), operation("insert", "Patient.name"),
        operation("move", "Patient.name", source=0), operation("delete", "Patient.name", index=0),
        operation("delete", "Patient.name", part("path", valueString="x")),
        operation("delete", "Patient.name", part("nonsense", valueString="x")),
        {"name": "operation", "part": [part("type", valueString="delete"), part("path", valueString="Patient.name")]},
        {"name": "operation", "part": [part("type", valueCode="delete"), part("path", valueCode="Patient.name")]},
    ],
)  # fmt: skip
def test_no_fhirpath_patch(wrong: dict[str, Any]) -> None:
    with pytest.raises(Problem) as refused:
        fhirpath_patch(parameters(delete("Patient.active"), wrong))
    assert refused.value.status == 400
    assert refused.value.issues[0].expression == "Parameters.parameter[1]"


@pytest.mark.parametrize(
    "wrong",
    [{"resourceType": "Patient"}, parameters(part("operation", nonsense=1)), {"resourceType": "Parameters",
     "parameter": {}},
     {"resourceType": "Parameters", "parameter": [None]}, {"resourceType": "Parameters",
     "parameter": [{"part": []}]}, {}],
)  # fmt: skip
def test_parameters_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises((Problem, Invalid)):
        fhirpath_patch(wrong)


def test_too_many_fhirpath_operations() -> None:
    with pytest.raises(Problem) as refused:
        fhirpath_patch(parameters(*[delete("Patient.active")] * (patching.MOST_OPERATIONS + 1)))
    assert (refused.value.status, str(patching.MOST_OPERATIONS) in str(refused.value)) == (413, True)


def test_much_put_in_by_fhirpath() -> None:
    long = add("Patient", "name", valueHumanName={"text": "x" * 100_000})
    with pytest.raises(Problem) as refused:
        patched({}, *[long] * 20)
    assert refused.value.status == 413


PATHS = st.lists(
    st.sampled_from(["Patient", "name", "given", "deceased", ".", "[", "]", "0", "(", ")", "where", "=", "'x'",
    "use", "and",
                     "ofType", "$this", "exists", "first", "`name`", "@2019", "-1", "true", " ", "\\", "not",
                     "extension"]),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=400)
@given(PATHS | st.text(max_size=30))
def test_any_path_is_read_or_refused(text: str) -> None:
    resource = {"resourceType": "Patient", "name": [{"given": ["x"], "use": "usual"}], "deceasedBoolean": True}
    try:
        for place in read(text, "Patient").places(resource):
            assert place.parent is None or place.value is not None
    except BadPath:
        pass
    assert resource == {"resourceType": "Patient", "name": [{"given": ["x"], "use": "usual"}], "deceasedBoolean": True}
