"""Whether a resource is R4: structure, formats, required bindings, references, a few invariants. Pure.

`check(resource)` gives the problems found, at most MOST of them, in document order; it never raises,
whatever the JSON. Elements, cardinalities and bindings come from the R4 definitions themselves
(`definitions/`), compiled per type on first use; `fhir.resources` (R4B models) is the independent second
opinion in the tests. See decisions/structure-from-definitions.md.

Not checked here: profiles, terminology beyond required bindings that can be enumerated.
Source: FHIR R4 2.6.2 (JSON), 2.1 (resources), 2.3 (references), 4.1.5 (binding strengths).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from phr.records import definitions, validate_rules
from phr.records.search.terms import literal
from phr.records.validate_values import FORMATS, Fault

MOST = 50  # problems reported
DEEPEST = 40  # levels of nesting

# The way to a node, told only when something is wrong: (way to the parent, segment)
Path = tuple[Any, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding, shaped like OperationOutcome.issue. `code`: FHIR issue-type; `expression`: FHIRPath."""

    severity: str  # fatal, error, warning
    code: str
    expression: str
    diagnostics: str


@dataclass(frozen=True, slots=True)
class Field:
    """One JSON key of a type."""

    segment: str  # as in FHIRPath: value.ofType(Quantity)
    type: str
    many: bool
    choice: str | None  # the element, where other keys stand for it too
    format: Callable[[Any], Fault] | None  # primitives
    targets: frozenset[str]
    codes: Mapping[str, frozenset[str]] | None
    plain_codes: frozenset[str] | None  # all allowed codes, for elements of type code


@dataclass(frozen=True, slots=True)
class Shape:
    """A type as its JSON keys. `required`: (element, keys of which one must be there)."""

    fields: Mapping[str, Field]
    required: tuple[tuple[str, tuple[str, ...]], ...]
    rules: tuple[validate_rules.Rule, ...]


@dataclass(slots=True)
class Run:
    """One check under way."""

    problems: list[Problem] = field(default_factory=list)
    local: list[tuple[str, Path]] = field(default_factory=list)  # "#id" references met

    def add(self, path: Path, code: str, text: str, severity: str = "error") -> None:
        if len(self.problems) < MOST:
            self.problems.append(Problem(severity, code, told(path), text))


def told(path: Path) -> str:
    """The path as FHIRPath."""
    parts: list[str] = []
    node: Any = path
    while node is not None:
        node, segment = node
        parts.append(segment)
    out = ""
    for part in reversed(parts):
        out += part if part.startswith("[") or not out else "." + part
    return out


def check(resource: Any, *, expected_type: str | None = None) -> list[Problem]:
    """The problems of a resource (JSON, decimals as Decimal); empty = sound R4."""
    run = Run()
    name = _type_of(run, resource, (None, "Resource"))
    if name is None:
        return run.problems
    if expected_type is not None and name != expected_type:
        run.add((None, name), "invalid", f"expected a {expected_type}, got a {name}", "fatal")
        return run.problems
    _resource(run, resource, name, (None, name), 0)
    return run.problems


def _type_of(run: Run, resource: Any, path: Path) -> str | None:
    if not isinstance(resource, dict):
        run.add(path, "structure", "a resource must be a JSON object", "fatal")
        return None
    name = resource.get("resourceType")
    if not isinstance(name, str):
        run.add((path, "resourceType"), "required", "resourceType is missing", "fatal")
        return None
    if name not in definitions.concrete_types():
        run.add((path, "resourceType"), "not-supported", f"{_short(name)} is not a resource type of R4", "fatal")
        return None
    return name


def _resource(run: Run, node: dict[str, Any], name: str, path: Path, depth: int) -> None:
    outer, run.local = run.local, []
    _object(run, shape_of(name), node, path, depth, is_resource=True)
    if run.local:
        contained = node.get("contained")
        ids = {c.get("id") for c in contained if isinstance(c, dict) and isinstance(c.get("id"), str)} if isinstance(
            contained, list) else set()  # fmt: skip
        for reference, where in run.local:
            if reference != "#" and reference[1:] not in ids:
                run.add(where, "invariant", "ref-1: no contained resource has this id")
    run.local = outer


def _object(run: Run, shape: Shape, node: dict[str, Any], path: Path, depth: int, is_resource: bool = False) -> None:
    """Check one JSON object against a shape."""
    if depth > DEEPEST:
        run.add(path, "too-long", f"nested deeper than {DEEPEST} levels")
        return
    fields = shape.fields
    chosen: dict[str, str] = {}
    for key, value in node.items():
        spec = fields.get(key)
        if spec is None:
            if key != "resourceType" or not is_resource:
                _other_key(run, shape, node, key, path, depth)
            continue
        if spec.choice is not None and chosen.setdefault(spec.choice, key) != key:
            run.add((path, spec.choice), "structure", f"only one of {chosen[spec.choice]} and {key} may be given")
        if spec.many:
            _many(run, spec, value, node.get("_" + key) if spec.format else None, path, depth)
        elif spec.format is not None:
            _primitive(run, spec, spec.format, value, (path, spec.segment))
        else:
            _complex(run, spec, value, (path, spec.segment), depth)
    _whole(run, shape, node, path)


def _whole(run: Run, shape: Shape, node: dict[str, Any], path: Path) -> None:
    """What only the object as a whole can tell: required elements and invariants."""
    for name, keys in shape.required:
        if not any(key in node or "_" + key in node for key in keys):
            run.add((path, name), "required", f"{name} is required")
    if not node:
        run.add(path, "structure", "an object must not be empty")
    for rule in shape.rules:
        if not rule.holds(node):
            run.add(path, "invariant", f"{rule.key}: {rule.human}")


def _primitive(run: Run, spec: Field, format: Callable[[Any], Fault], value: Any, path: Path) -> None:
    fault = format(value)
    if fault is not None:
        run.add(path, "value", f"{spec.segment} {fault}")
    elif spec.plain_codes is not None and value not in spec.plain_codes:
        run.add(path, "code-invalid", f"{_short(value)} is not among the allowed codes")


def _many(run: Run, spec: Field, value: Any, beside: Any, path: Path, depth: int) -> None:
    """A repeating element: a list that is not empty; null stands only beside an entry of `_name`."""
    if not isinstance(value, list) or not value:
        run.add((path, spec.segment), "structure", f"{spec.segment} must be a list that is not empty")
        return
    for at, item in enumerate(value):
        where = ((path, spec.segment), f"[{at}]")
        if spec.format is None:
            _complex(run, spec, item, where, depth)
        elif item is None:
            if not (isinstance(beside, list) and at < len(beside) and beside[at]):
                run.add(where, "structure", "null stands for nothing")
        else:
            _primitive(run, spec, spec.format, item, where)


def _complex(run: Run, spec: Field, value: Any, path: Path, depth: int) -> None:
    if not isinstance(value, dict):
        run.add(path, "structure", f"{spec.segment} must be an object")
        return
    if spec.type == "Resource":
        _inner_resource(run, spec, value, path, depth)
        return
    _object(run, shape_of(spec.type), value, path, depth + 1)
    if spec.type == "Reference":
        _reference(run, spec, value, path)
    elif spec.codes is not None:
        _bound(run, spec.codes, spec.type, value, path)


def _inner_resource(run: Run, spec: Field, value: dict[str, Any], path: Path, depth: int) -> None:
    name = _type_of(run, value, path)
    if name is None:
        return
    if spec.segment == "contained":
        if "contained" in value:
            run.add((path, "contained"), "invariant", "dom-2: a contained resource holds no contained resources")
        if "id" not in value:
            run.add((path, "id"), "required", "a contained resource needs an id")
        meta = value.get("meta")
        if isinstance(meta, dict) and ("versionId" in meta or "lastUpdated" in meta):
            run.add((path, "meta"), "invariant", "dom-4: a contained resource has no version of its own")
        if isinstance(meta, dict) and "security" in meta:
            run.add((path, "meta"), "invariant", "dom-5: a contained resource has no security labels of its own")
        # its "#id" references look among its siblings: leave them to the resource around it
        _object(run, shape_of(name), value, path, depth + 1, is_resource=True)
    else:
        _resource(run, value, name, path, depth + 1)


def _other_key(run: Run, shape: Shape, node: dict[str, Any], key: str, path: Path, depth: int) -> None:
    """A key that is no element: `_name` beside a primitive, or unknown."""
    spec = shape.fields.get(key[1:]) if key[:1] == "_" else None
    if spec is None or spec.format is None:
        run.add((path, _short(key)), "structure", f"{_short(key)} is not an element here")
        return
    value = node[key]
    if not spec.many:
        if isinstance(value, dict):
            _object(run, shape_of("Element"), value, (path, spec.segment), depth + 1)
        else:
            run.add((path, spec.segment), "structure", f"{_short(key)} must be an object")
        return
    if not isinstance(value, list) or not value:
        run.add((path, spec.segment), "structure", f"{_short(key)} must be a list that is not empty")
        return
    for at, item in enumerate(value):
        if isinstance(item, dict):
            _object(run, shape_of("Element"), item, ((path, spec.segment), f"[{at}]"), depth + 1)
        elif item is not None:
            run.add(((path, spec.segment), f"[{at}]"), "structure", f"{_short(key)} must hold objects or null")


def _reference(run: Run, spec: Field, value: dict[str, Any], path: Path) -> None:
    reference, kind = value.get("reference"), value.get("type")
    if isinstance(reference, str):
        if reference.startswith("#"):
            run.local.append((reference, (path, "reference")))
        elif parts := literal(reference):
            if parts[0] is None and parts[1] not in definitions.concrete_types():
                run.add((path, "reference"), "value", f"{_short(parts[1])} is not a resource type of R4")
                return
            kind = parts[1] if parts[0] is None else kind
        elif ":" not in reference:  # a conditional one is gone by now: only a transaction may bring it
            run.add((path, "reference"), "value", "is neither Type/id nor an absolute URL")
    if spec.targets and isinstance(kind, str) and kind in definitions.concrete_types() and kind not in spec.targets:
        run.add((path, "reference"), "value", f"may not point to a {kind}")


def _bound(run: Run, codes: Mapping[str, frozenset[str]], type_name: str, value: dict[str, Any], path: Path) -> None:
    """A required binding on Coding or CodeableConcept: one coding must be from the value set."""
    codings = value.get("coding") if type_name == "CodeableConcept" else [value]
    sound = [c for c in codings if isinstance(c, dict)] if isinstance(codings, list) else []
    if any(_in(codes, coding.get("system"), coding.get("code")) for coding in sound):
        return
    if "extension" in value and not codings:
        return
    run.add(path, "code-invalid", "no coding is from the value set that is required here")


def _in(codes: Mapping[str, frozenset[str]], system: Any, code: Any) -> bool:
    return isinstance(system, str) and isinstance(code, str) and code in codes.get(system, ())


def _short(text: str) -> str:
    """A piece of input that is safe to show: printable, 40 characters at most."""
    return ascii(text[:40])[1:-1] if not text.isprintable() else text[:40]


@cache
def shape_of(type_name: str) -> Shape:
    """Compile a type. Raises KeyError for one that is not defined."""
    fields: dict[str, Field] = {}
    required = []
    for name, element in definitions.fields(type_name).items():
        keys = []
        for kind, targets in element.types:
            key = definitions.choice_key(name, kind) if element.choice else name
            keys.append(key)
            fields[key] = _field(element, name, kind, targets)
        if element.min and type_name != "Element":
            required.append((name.removesuffix("[x]"), tuple(keys)))
    return Shape(fields, tuple(required), validate_rules.RULES.get(type_name, ()))


def _field(element: definitions.Element, name: str, kind: str, targets: tuple[str, ...]) -> Field:
    codes = definitions.codes(element.codes) if element.codes is not None else None
    stem = name.removesuffix("[x]")
    return Field(
        segment=f"{stem}.ofType({kind})" if element.choice else name,
        type=kind,
        many=element.max is None or element.max > 1,
        choice=stem if element.choice else None,
        format=FORMATS.get(kind),
        targets=frozenset() if "Resource" in targets else frozenset(targets),
        codes=codes if kind in ("Coding", "CodeableConcept") else None,
        plain_codes=frozenset().union(*codes.values()) if codes is not None and kind == "code" else None,
    )
