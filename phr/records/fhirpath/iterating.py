"""FHIRPath functions whose argument is evaluated for each value: where, select, all, repeat … Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from phr.records.fhirpath import values
from phr.records.fhirpath.context import Context, Frame, Run
from phr.records.fhirpath.values import Items

Made = Callable[[Run, list[Run]], Run]


def _each(context: Context, items: Items, argument: Run) -> list[tuple[object, Items]]:
    """Each value with what the argument gives for it."""
    context.step(len(items))
    return [(item, argument(context, [item], Frame([item], at))) for at, item in enumerate(items)]


def _where(of: Run, arguments: list[Run]) -> Run:
    def run(context: Context, focus: Items, frame: Frame) -> Items:
        found = _each(context, of(context, focus, frame), arguments[0])
        return [item for item, answer in found if values.truth(answer)]

    return run


def _select(of: Run, arguments: list[Run]) -> Run:
    def run(context: Context, focus: Items, frame: Frame) -> Items:
        found = _each(context, of(context, focus, frame), arguments[0])
        return [each for _, answer in found for each in answer]

    return run


def _all(of: Run, arguments: list[Run]) -> Run:
    def run(context: Context, focus: Items, frame: Frame) -> Items:
        found = _each(context, of(context, focus, frame), arguments[0])
        return [all(values.truth(answer) is True for _, answer in found)]

    return run


def _exists(of: Run, arguments: list[Run]) -> Run:
    kept = _where(of, arguments) if arguments else of

    def run(context: Context, focus: Items, frame: Frame) -> Items:
        return [bool(kept(context, focus, frame))]

    return run


def _repeat(of: Run, arguments: list[Run]) -> Run:
    def run(context: Context, focus: Items, frame: Frame) -> Items:
        layer = of(context, focus, frame)
        found: Items = []
        while layer:
            fresh = [each for _, answer in _each(context, layer, arguments[0]) for each in answer]
            layer = [each for each in fresh if not any(each is old for old in found)]
            context.step(len(fresh) * (len(found) + 1))
            found += layer
        return found

    return run


def _iif(of: Run, arguments: list[Run]) -> Run:
    def run(context: Context, focus: Items, frame: Frame) -> Items:
        items = of(context, focus, frame)
        inner = Frame(items, frame.index)
        if values.truth(arguments[0](context, items, inner)):
            return arguments[1](context, items, inner)
        return arguments[2](context, items, inner) if len(arguments) > 2 else []

    return run


def _aggregate(of: Run, arguments: list[Run]) -> Run:
    def run(context: Context, focus: Items, frame: Frame) -> Items:
        total = arguments[1](context, frame.this, frame) if len(arguments) > 1 else []
        items = of(context, focus, frame)
        context.step(len(items))
        for at, item in enumerate(items):
            total = arguments[0](context, [item], Frame([item], at, total))
        return total

    return run


FUNCTIONS: Final[dict[str, tuple[int, int, Made]]] = {
    "where": (1, 1, _where),
    "select": (1, 1, _select),
    "all": (1, 1, _all),
    "exists": (0, 1, _exists),
    "repeat": (1, 1, _repeat),
    "iif": (2, 3, _iif),
    "aggregate": (1, 2, _aggregate),
}
