"""Syntax tree -> closures. Pure. Source: FHIRPath N1 §4–6, FHIR R4 fhirpath.html."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from phr.records.fhirpath import functions, iterating, values
from phr.records.fhirpath.context import URL_CONSTANTS, Context, Frame, Run
from phr.records.fhirpath.moving import moved
from phr.records.fhirpath.nodes import Node
from phr.records.fhirpath.parser import (
    Ast,
    Binary,
    Call,
    Indexed,
    Literal,
    Name,
    Negative,
    Typed,
    Unsupported,
    Variable,
    named_type,
)
from phr.records.fhirpath.types import is_of
from phr.records.fhirpath.values import Amount, Items, Moment, Trouble, moment


def compile(tree: Ast) -> Run:
    """The closure for a tree. Raises Unsupported."""
    match tree:
        case Literal():
            return _literal(tree)
        case Name():
            return _child(tree.name, compile(tree.of) if tree.of is not None else None)
        case Variable():
            return _variable(tree.name)
        case Call():
            return _call(tree)
        case Indexed():
            return _indexed(compile(tree.of), compile(tree.index))
        case Typed():
            return _typed(tree.operator, compile(tree.left), tree.type)
        case Binary():
            return _binary(tree.operator, compile(tree.left), compile(tree.right))
        case Negative():
            return _negative(compile(tree.of))


def _literal(tree: Literal) -> Run:
    value = tree.value
    if tree.kind == "time":
        value = moment(tree.value, "Time" if tree.value.startswith("T") else "Date")
        if value is None:
            raise Unsupported(f"@{tree.value} is no date or time")
    elif tree.unit is not None:
        value = Amount(Decimal(value), tree.unit)
    constant = [] if tree.kind == "empty" else [value]

    def run(context: Context, focus: Items, frame: Frame) -> Items:
        return constant

    return run


def _child(name: str, of: Run | None) -> Run:
    """A path step. At the beginning of a path a type name stands for the focus itself: Patient.name."""
    upper = of is None and name[:1].isupper()

    def run(context: Context, focus: Items, frame: Frame) -> Items:
        items = focus if of is None else of(context, focus, frame)
        if upper:
            return [i for i in items if isinstance(i, Node) and is_of(i, name)]
        if len(items) == 1:
            found = items[0].kid(name) if isinstance(items[0], Node) else []
        else:
            found = [kid for i in items if isinstance(i, Node) for kid in i.kid(name)]
        context.step(len(found) + 1)
        return found

    return run


def _variable(name: str) -> Run:
    match name:
        case "$this":
            return lambda context, focus, frame: frame.this
        case "$index":
            return lambda context, focus, frame: [frame.index]
        case "$total":
            return lambda context, focus, frame: frame.total
        case "%context":
            return lambda context, focus, frame: [context.here] if context.here is not None else []
        case "%resource":
            return lambda context, focus, frame: [context.here.resource()] if context.here is not None else []
        case "%rootResource":
            return lambda context, focus, frame: [context.here.root()] if context.here is not None else []
    fixed = URL_CONSTANTS.get(name) or _url(name)
    if fixed is not None:
        return lambda context, focus, frame: [fixed]

    def constant(context: Context, focus: Items, frame: Frame) -> Items:
        if name[1:] not in context.constants:
            raise Trouble(f"{name} is not known")
        return context.constants[name[1:]]

    return constant


def _url(name: str) -> str | None:
    if name.startswith("%vs-"):
        return "http://hl7.org/fhir/ValueSet/" + name[4:]
    return "http://hl7.org/fhir/StructureDefinition/" + name[5:] if name.startswith("%ext-") else None


def _call(tree: Call) -> Run:
    of = compile(tree.of) if tree.of is not None else None
    if tree.name in ("ofType", "is", "as"):
        if len(tree.arguments) != 1:
            raise Unsupported(f"{tree.name} takes one type")
        return _typed(tree.name, of or _focus, named_type(tree.arguments[0]))
    found = iterating.FUNCTIONS.get(tree.name) or functions.FUNCTIONS.get(tree.name)
    if found is None:
        raise Unsupported(f"{tree.name}() is not known")
    least, most, make = found
    if not least <= len(tree.arguments) <= most:
        raise Unsupported(f"{tree.name}() takes {least} to {most} arguments")
    run: Run = make(of or _focus, [compile(a) for a in tree.arguments])
    return run


def _focus(context: Context, focus: Items, frame: Frame) -> Items:
    return focus


def _typed(operator: str, left: Run, type: str) -> Run:
    if operator == "is":

        def test(context: Context, focus: Items, frame: Frame) -> Items:
            items = left(context, focus, frame)
            if len(items) > 1:
                raise Trouble("`is` needs one value")
            return [is_of(items[0], type)] if items else []

        return test

    def filtered(context: Context, focus: Items, frame: Frame) -> Items:
        # `as` on several values is an error in FHIRPath, but R4's own invariants rely on it (dom-3)
        items = left(context, focus, frame)
        context.step(len(items))
        return [i for i in items if is_of(i, type)]

    return filtered


def _indexed(of: Run, index: Run) -> Run:
    def run(context: Context, focus: Items, frame: Frame) -> Items:
        items = of(context, focus, frame)
        at = values.whole(index(context, frame.this, frame))
        return [items[at]] if at is not None and 0 <= at < len(items) else []

    return run


def _negative(of: Run) -> Run:
    def run(context: Context, focus: Items, frame: Frame) -> Items:
        value = values.one(of(context, focus, frame))
        if isinstance(value, Amount):
            return [Amount(-value.value, value.unit)]
        if value is None:
            return []
        if not values.is_number(value):
            raise Trouble("- needs a number")
        return [-value]

    return run


def _binary(operator: str, left: Run, right: Run) -> Run:
    if operator in _LOGIC:
        return _logic(_LOGIC[operator], left, right)
    pair = _PAIRS.get(operator)
    if pair is None:
        return _arithmetic(operator, left, right)

    def run(context: Context, focus: Items, frame: Frame) -> Items:
        answer = pair(context, left(context, focus, frame), right(context, focus, frame))
        return [] if answer is None else [answer]

    return run if operator != "|" else functions.union(left, [right])


def _logic(decide: Callable[[bool | None, bool | None], bool | None], left: Run, right: Run) -> Run:
    def run(context: Context, focus: Items, frame: Frame) -> Items:
        a = values.truth(left(context, focus, frame))
        for b in (True, False):  # decided already by the left side?
            if decide(a, b) != decide(a, not b) or decide(a, b) != decide(a, None):
                break
        else:
            decided = decide(a, None)
            return [] if decided is None else [decided]
        answer = decide(a, values.truth(right(context, focus, frame)))
        return [] if answer is None else [answer]

    return run


def _and(a: bool | None, b: bool | None) -> bool | None:
    return False if a is False or b is False else True if a and b else None


def _or(a: bool | None, b: bool | None) -> bool | None:
    return True if a or b else False if a is False and b is False else None


def _xor(a: bool | None, b: bool | None) -> bool | None:
    return None if a is None or b is None else a != b


def _implies(a: bool | None, b: bool | None) -> bool | None:
    return True if a is False or b else b if a else None


def _arithmetic(operator: str, left: Run, right: Run) -> Run:
    def run(context: Context, focus: Items, frame: Frame) -> Items:
        a, b = left(context, focus, frame), right(context, focus, frame)
        if operator == "&":
            return [(values.text(a) or "") + (values.text(b) or "")]
        x, y = values.one(a), values.one(b)
        if x is None or y is None:
            return []
        if isinstance(x, Moment) and isinstance(y, Amount) and operator in "+-":
            return [moved(x, y, 1 if operator == "+" else -1)]
        answer = values.arithmetic(operator, x, y)
        return [] if answer is None else [answer]

    return run


def _less(test: Callable[[int], bool]) -> Callable[[Context, Items, Items], bool | None]:
    def run(context: Context, left: Items, right: Items) -> bool | None:
        order = values.compare(left, right)
        return None if order is None else test(order)

    return run


def _equal(context: Context, left: Items, right: Items) -> bool | None:
    context.step(len(left))
    return values.equal_all(left, right)


def _unequal(context: Context, left: Items, right: Items) -> bool | None:
    answer = _equal(context, left, right)
    return None if answer is None else not answer


def _equivalent(context: Context, left: Items, right: Items) -> bool:
    if len(left) != len(right):
        return False
    context.step(len(left) * len(right))
    rest = list(right)
    for item in left:
        at = next((i for i, other in enumerate(rest) if values.equivalent(item, other)), None)
        if at is None:
            return False
        rest.pop(at)
    return True


def _in(context: Context, left: Items, right: Items) -> bool | None:
    if not left:
        return None
    if len(left) > 1:
        raise Trouble("`in` needs one value on its left")
    context.step(len(right))
    return any(values.equal(left[0], other) is True for other in right)


_LOGIC: Final = {"and": _and, "or": _or, "xor": _xor, "implies": _implies}
_PAIRS: Final[dict[str, Callable[[Context, Items, Items], bool | None]]] = {
    "=": _equal,
    "!=": _unequal,
    "~": _equivalent,
    "!~": lambda context, left, right: not _equivalent(context, left, right),
    "<": _less(lambda order: order < 0),
    ">": _less(lambda order: order > 0),
    "<=": _less(lambda order: order <= 0),
    ">=": _less(lambda order: order >= 0),
    "in": _in,
    "contains": lambda context, left, right: _in(context, right, left),
    "|": lambda context, left, right: None,
}
