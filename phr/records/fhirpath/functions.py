"""FHIRPath functions on whole collections and on single values. Pure. Source: FHIRPath N1 §5, R4 fhirpath.html."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from phr.records.fhirpath import values
from phr.records.fhirpath.context import Context, Frame, Run
from phr.records.fhirpath.iterating import Made
from phr.records.fhirpath.nodes import Node, descendants
from phr.records.fhirpath.strings import STRINGS
from phr.records.fhirpath.values import Items, Trouble

# (context, items, arguments already evaluated) -> items
Plain = Callable[[Context, Items, list[Items]], Items]


def plain(function: Plain) -> Made:
    """A function whose arguments are evaluated once, where the expression stands."""

    def make(of: Run, arguments: list[Run]) -> Run:
        def run(context: Context, focus: Items, frame: Frame) -> Items:
            given = [argument(context, frame.this, frame) for argument in arguments]
            return function(context, of(context, focus, frame), given)

        return run

    return make


def union(left: Run, arguments: list[Run]) -> Run:
    """`|` and union(): both sides, without duplicates."""

    def run(context: Context, focus: Items, frame: Frame) -> Items:
        return _distinct(context, left(context, focus, frame) + arguments[0](context, focus, frame))

    return run


def _holds(item: Any, items: Items) -> bool:
    return any(item is other or values.equal(item, other) is True for other in items)


def _key(item: Any) -> Any:
    """What a simple value equals by; None where only a comparison tells."""
    value = values.system(item)
    return ("s", value) if isinstance(value, str) else ("b", value) if isinstance(value, bool) else None


def _distinct(context: Context, items: Items) -> Items:
    found: Items = []
    seen: set[Any] = set()
    rest: Items = []
    for item in items:
        key = _key(item)
        if key is None:
            context.step(3 * len(rest) + 1)
            if not _holds(item, rest):
                rest.append(item)
                found.append(item)
        elif key not in seen:
            seen.add(key)
            found.append(item)
    context.step(len(items))
    return found


def _within(context: Context, items: Items, others: Items) -> list[bool]:
    """For each value, whether it is among the others."""
    keys = {key for other in others if (key := _key(other)) is not None}
    rest = [other for other in others if _key(other) is None]
    context.step(3 * len(items) * (len(rest) + 1) + len(others))
    return [key in keys if (key := _key(item)) is not None else _holds(item, rest) for item in items]


def _intersect(context: Context, items: Items, given: list[Items]) -> Items:
    inside = _within(context, items, given[0])
    return _distinct(context, [i for i, yes in zip(items, inside, strict=True) if yes])


def _exclude(context: Context, items: Items, given: list[Items]) -> Items:
    return [i for i, yes in zip(items, _within(context, items, given[0]), strict=True) if not yes]


def _booleans(items: Items) -> list[bool | None]:
    return [values.truth([item]) for item in items]


def _single(context: Context, items: Items, given: list[Items]) -> Items:
    if len(items) > 1:
        raise Trouble("single() found several values")
    return items


def _not(context: Context, items: Items, given: list[Items]) -> Items:
    answer = values.truth(items)
    return [] if answer is None else [not answer]


def _descendants(context: Context, items: Items, given: list[Items]) -> Items:
    found: Items = []
    for item in items:
        if isinstance(item, Node):
            for below in descendants(item):
                context.step()
                found.append(below)
    return found


def _children(context: Context, items: Items, given: list[Items]) -> Items:
    found = [kid for item in items if isinstance(item, Node) for kid in item.children()]
    context.step(len(found))
    return found


def _extension(context: Context, items: Items, given: list[Items]) -> Items:
    url = values.text(given[0])
    kids = [kid for item in items if isinstance(item, Node) for kid in item.kid("extension")]
    context.step(len(kids))
    return [kid for kid in kids if kid.value.get("url") == url]


def _has_value(item: Any) -> bool:
    return not isinstance(item, Node) or (item.is_primitive and item.value is not None)


def _resolve(context: Context, items: Items, given: list[Items]) -> Items:
    found: Items = []
    for item in items:
        if not isinstance(item, Node) or context.resolve is None:
            continue
        reference = item.value.get("reference") if isinstance(item.value, dict) else item.value
        if isinstance(reference, str) and (target := context.resolve(reference, item)) is not None:
            found.append(target)
    return found


def _asked(name: str) -> Plain:
    """memberOf and conformsTo: the context answers, for one node and a url."""

    def run(context: Context, items: Items, given: list[Items]) -> Items:
        url = values.text(given[0])
        ask = context.member if name == "memberOf" else context.conforms
        if not items or url is None or ask is None:
            return []
        if len(items) > 1 or not isinstance(items[0], Node):
            raise Trouble(f"{name}() needs one element")
        answer = ask(url, items[0])
        return [] if answer is None else [answer]

    return run


def _to(kind: str) -> Plain:
    def run(context: Context, items: Items, given: list[Items]) -> Items:
        value = values.one(items)
        answer = None if value is None else converted(kind, value)
        return [] if answer is None else [answer]

    return run


def _converts_to(kind: str) -> Plain:
    def run(context: Context, items: Items, given: list[Items]) -> Items:
        value = values.one(items)
        return [] if value is None else [converted(kind, value) is not None]

    return run


_BOOLEANS: Final = {"true": True, "t": True, "yes": True, "y": True, "1": True, "1.0": True,
                    "false": False, "f": False, "no": False, "n": False, "0": False, "0.0": False}  # fmt: skip


def converted(kind: str, value: Any) -> Any:
    """A System value as another type (FHIRPath §5.5), None where it cannot be."""
    text = values.shown(value)
    match kind:
        case "String":
            return text
        case "Boolean":
            return value if isinstance(value, bool) else _BOOLEANS.get((text or "").lower())
        case "Date" | "DateTime" | "Time":
            if isinstance(value, values.Moment):
                return value if value.kind == kind else None
            return values.moment(value, kind) if isinstance(value, str) else None
    if isinstance(value, bool):
        text = "1" if value else "0"
    try:
        number = Decimal(text) if text is not None and not isinstance(value, values.Amount) else None
    except InvalidOperation:
        return None
    if number is None or not number.is_finite():
        return None
    if kind == "Integer":
        return int(number) if abs(number) < 2**63 and number == int(number) and "." not in (text or "") else None
    return number


def _number(calculate: Callable[[Decimal], Any]) -> Plain:
    def run(context: Context, items: Items, given: list[Items]) -> Items:
        value = values.one(items)
        if value is None:
            return []
        if not values.is_number(value):
            raise Trouble("a number is expected")
        number = Decimal(value)
        if abs(number.adjusted()) > values.FARTHEST:
            raise Trouble("the number is too large")
        return [calculate(number)]

    return run


def _round(context: Context, items: Items, given: list[Items]) -> Items:
    places = (values.whole(given[0]) or 0) if given else 0
    if not 0 <= places <= 20:
        raise Trouble("round() takes 0 to 20 places")
    return _number(lambda n: n.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP))(context, items, [])


def _now(kind: str) -> Plain:
    def run(context: Context, items: Items, given: list[Items]) -> Items:
        if context.now is None:
            raise Trouble("the time is not known here")
        text = context.now.isoformat(timespec="milliseconds")
        part = {"Date": text[:10], "DateTime": text, "Time": text[11:23]}[kind]
        return [values.moment(part, kind)]

    return run


def _count(given: list[Items]) -> int:
    return max(values.whole(given[0]) or 0, 0)


FUNCTIONS: Final[dict[str, tuple[int, int, Made]]] = {
    "union": (1, 1, union),
    **{name: (least, most, plain(function)) for name, (least, most, function) in STRINGS.items()},
    **{f"to{kind}": (0, 0, plain(_to(kind))) for kind in
       ("String", "Boolean", "Integer", "Decimal", "Date", "DateTime", "Time")},
    **{f"convertsTo{kind}": (0, 0, plain(_converts_to(kind))) for kind in
       ("String", "Boolean", "Integer", "Decimal", "Date", "DateTime", "Time")},
    "empty": (0, 0, plain(lambda c, i, g: [not i])),
    "count": (0, 0, plain(lambda c, i, g: [len(i)])),
    "not": (0, 0, plain(_not)),
    "allTrue": (0, 0, plain(lambda c, i, g: [all(b is True for b in _booleans(i))])),
    "anyTrue": (0, 0, plain(lambda c, i, g: [any(b is True for b in _booleans(i))])),
    "allFalse": (0, 0, plain(lambda c, i, g: [all(b is False for b in _booleans(i))])),
    "anyFalse": (0, 0, plain(lambda c, i, g: [any(b is False for b in _booleans(i))])),
    "subsetOf": (1, 1, plain(lambda c, i, g: [all(_within(c, i, g[0]))])),
    "supersetOf": (1, 1, plain(lambda c, i, g: [all(_within(c, g[0], i))])),
    "distinct": (0, 0, plain(lambda c, i, g: _distinct(c, i))),
    "isDistinct": (0, 0, plain(lambda c, i, g: [len(_distinct(c, i)) == len(i)])),
    "single": (0, 0, plain(_single)),
    "first": (0, 0, plain(lambda c, i, g: i[:1])),
    "last": (0, 0, plain(lambda c, i, g: i[-1:])),
    "tail": (0, 0, plain(lambda c, i, g: i[1:])),
    "skip": (1, 1, plain(lambda c, i, g: i[_count(g):])),
    "take": (1, 1, plain(lambda c, i, g: i[: _count(g)])),
    "intersect": (1, 1, plain(_intersect)),
    "exclude": (1, 1, plain(_exclude)),
    "combine": (1, 1, plain(lambda c, i, g: i + g[0])),
    "children": (0, 0, plain(_children)),
    "descendants": (0, 0, plain(_descendants)),
    "trace": (1, 2, plain(lambda c, i, g: i)),
    "extension": (1, 1, plain(_extension)),
    "hasValue": (0, 0, plain(lambda c, i, g: [len(i) == 1 and _has_value(i[0])])),
    "getValue": (0, 0, plain(lambda c, i, g: i if len(i) == 1 and _has_value(i[0]) else [])),
    "resolve": (0, 0, plain(_resolve)),
    "memberOf": (1, 1, plain(_asked("memberOf"))),
    "conformsTo": (1, 1, plain(_asked("conformsTo"))),
    "htmlChecks": (0, 0, plain(lambda c, i, g: [True])),  # the format of xhtml is checked with the structure
    "abs": (0, 0, plain(_number(abs))),
    "ceiling": (0, 0, plain(_number(lambda n: int(n.to_integral_value(ROUND_CEILING))))),
    "floor": (0, 0, plain(_number(lambda n: int(n.to_integral_value(ROUND_FLOOR))))),
    "truncate": (0, 0, plain(_number(int))),
    "round": (0, 1, plain(_round)),
    "now": (0, 0, plain(_now("DateTime"))),
    "today": (0, 0, plain(_now("Date"))),
    "timeOfDay": (0, 0, plain(_now("Time"))),
}  # fmt: skip
