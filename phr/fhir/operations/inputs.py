"""The parameters of an operation: from query string or Parameters body to checked values (R4 operations.html §3.2).

Every fault is a 400 that names the parameter: unknown, missing, too many, of another type, not well formed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from phr.fhir.outcome import Problem
from phr.fhir.wire import Pairs
from phr.records import definitions, validate
from phr.records.gateway import Invalid
from phr.records.validate_values import FORMATS

Values = Mapping[str, list[Any]]
GENERAL = frozenset({"_format", "_pretty"})  # of every interaction (R4 http.html §3.1.0.1.11)
MOST = 200  # parameters of one call
_WHOLE = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
# Something sound to stand where an inner resource stands: the operation judges that resource, not we.
_STAND_IN = {"resourceType": "Binary", "contentType": "application/json"}


@dataclass(frozen=True, slots=True)
class In:
    """One in-parameter of an OperationDefinition. `type`: a data type, a resource type, `Resource`, or `part`:
    its parts, as they came.

    `max` None = many. `commas`: a simple value may hold several, with commas between (as search parameters do).
    `token`: a string that stands for a code (`system|code`); in a body it may be a Coding or a CodeableConcept.
    """

    name: str
    type: str
    min: int = 0
    max: int | None = 1
    commas: bool = False
    token: bool = False

    @property
    def primitive(self) -> bool:
        return self.type in FORMATS

    @property
    def resource(self) -> bool:
        return self.type == "Resource" or self.type in definitions.concrete_types()


def read(
    declared: Iterable[In], asked: Pairs, content: dict[str, Any] | None, *, rest: bool, lenient: bool
) -> tuple[Values, Pairs]:
    """The values by name, and the undeclared pairs where `rest` lets them through. Raises Problem (400), Invalid.

    `lenient`: what is not known is ignored (R4 search.html §3.1.1.3, `Prefer: handling=lenient`).
    """
    known = {i.name: i for i in declared}
    values: dict[str, list[Any]] = {}
    others: Pairs = []
    for name, text in asked:
        if name in known:
            values.setdefault(name, []).extend(_of_text(known[name], text))
        elif name not in GENERAL:
            others.append((name, text))
    for name, value in _of_body(known, content, others):
        values.setdefault(name, []).append(value)
    if others and not rest and not lenient:
        name = others[0][0]
        raise refused(name, "この操作にない引数です。Not a parameter of this operation.", "not-supported")
    for one in known.values():
        _count(one, len(values.get(one.name, ())))
    return values, others if rest else []


def refused(name: str, text: str, code: str = "invalid") -> Problem:
    """A refusal of one parameter: 400."""
    shown = name[:64]
    return Problem(400, code, f"{shown}: {text}", f"http.{shown}")


def _count(declared: In, times: int) -> None:
    if times < declared.min:
        raise refused(declared.name, "必要な引数がありません。This parameter is required.", "required")
    if declared.max is not None and times > declared.max:
        raise refused(declared.name, f"{declared.max} 個までです。At most {declared.max} of it.")


def _of_text(declared: In, text: str) -> list[Any]:
    if not declared.primitive:
        raise refused(declared.name, "POST の本文で送ってください。Send it in a Parameters body.", "not-supported")
    parts = text.split(",") if declared.commas else [text]
    return [_checked(declared, _simple(declared.type, part)) for part in parts]


def _simple(type: str, text: str) -> Any:
    """The JSON value a text stands for; what cannot be one stays text, and the check says so."""
    if type == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if type in ("integer", "unsignedInt", "positiveInt"):
        return int(text) if _WHOLE.fullmatch(text) else text
    if type == "decimal":
        try:
            return Decimal(text)
        except InvalidOperation:
            return text
    if type in ("instant", "dateTime"):
        return text.replace(" ", "+")  # an unescaped + arrives as a space
    return text


def _checked(declared: In, value: Any) -> Any:
    if fault := FORMATS[declared.type](value):
        raise refused(declared.name, f"{declared.type} として読めません。{fault}")
    return value


def _of_body(known: Mapping[str, In], content: dict[str, Any] | None, others: Pairs) -> Iterable[tuple[str, Any]]:
    if content is None:
        return
    if content.get("resourceType") != "Parameters":
        yield _sole_resource(known, content)
        return
    _sound(content)
    parameters = content.get("parameter", [])
    if len(parameters) > MOST:
        raise refused("parameter", f"引数は {MOST} 個までです。At most {MOST} parameters.", "too-costly")
    for parameter in parameters:
        name = parameter["name"]
        if name in known:
            for value in _given(known[name], parameter):
                yield name, value
        elif name not in GENERAL:
            others.append((name, _as_text(parameter)))


def _sole_resource(known: Mapping[str, In], content: dict[str, Any]) -> tuple[str, Any]:
    """The body of an operation with exactly one resource among its parameters may be that resource."""
    resources = [i for i in known.values() if i.resource]
    kind = content.get("resourceType")
    if len(resources) != 1 or resources[0].type not in ("Resource", kind):
        text = "本文は Parameters です。A Parameters resource is expected."
        raise Problem(400, "invalid", text, "Parameters.resourceType")
    return resources[0].name, content


def _sound(content: dict[str, Any]) -> None:
    """Check the Parameters itself; resources inside are the operation's to judge. Raises Invalid."""
    problems = [p for p in validate.check(_hollow(content)) if p.severity in ("fatal", "error")]
    if problems:
        raise Invalid(problems)


def _hollow(node: dict[str, Any]) -> dict[str, Any]:
    """The Parameters (or a part) with every inner resource replaced by one that is sound."""
    out = dict(node)
    if isinstance(node.get("resource"), dict):
        out["resource"] = _STAND_IN
    for key in ("parameter", "part"):
        if isinstance(inner := node.get(key), list):
            out[key] = [_hollow(part) if isinstance(part, dict) else part for part in inner]
    return out


def _given(declared: In, parameter: Mapping[str, Any]) -> list[Any]:
    """The values of one entry of the body: one, or several between commas."""
    if declared.resource:
        resource = parameter.get("resource")
        if not isinstance(resource, dict) or declared.type not in ("Resource", resource.get("resourceType")):
            raise refused(declared.name, f"resource に {declared.type} が必要です。A {declared.type} is expected.")
        return [resource]
    if declared.type == "part":
        return [parameter.get("part", [])]
    if not declared.primitive:
        key = f"value{declared.type[0].upper()}{declared.type[1:]}"
        if key not in parameter:
            raise refused(declared.name, f"{key} で送ってください。Expected {key}.")
        return [parameter[key]]
    value = next((v for k, v in parameter.items() if k.startswith("value")), None)
    if declared.token and isinstance(value, dict) and (tokens := _tokens(value)):
        return tokens
    if isinstance(value, dict | list) or value is None:
        raise refused(declared.name, f"{declared.type} が必要です。A {declared.type} is expected.")
    parts = value.split(",") if declared.commas and isinstance(value, str) else [value]
    return [_checked(declared, part) for part in parts]


def _tokens(value: Mapping[str, Any]) -> list[Any]:
    """The codes of a Coding or a CodeableConcept, as tokens."""
    found = value.get("coding", [value])
    return [f"{c['system']}|{c['code']}" if "system" in c else c["code"] for c in found if "code" in c]


def _as_text(parameter: Mapping[str, Any]) -> str:
    """An undeclared parameter of a body, as a search would write it."""
    value = next((v for k, v in parameter.items() if k.startswith("value")), None)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | Decimal):
        return str(value)
    return ""
