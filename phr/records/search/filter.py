"""`_filter`: a boolean expression over search parameters (FHIR R4 search_filter.html). Pure.

    filter = term (("and" | "or") term)*      read from left to right: neither binds closer
    term   = "not" "(" filter ")" | "(" filter ")" | path operator value
    path   = name [":" Type] ["[" filter "]"] ["." path] | "_has:" Type ":" reference ":" path
    value  = JSON string | any characters but white space, ")" and "]"

Brackets say what must hold of the resource a reference leads to, beside what follows the dot.
Faults name their place, counted in characters from 1. Codes are compared with their case, as everywhere here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from phr.records.search import concepts, values
from phr.records.search.chain import Reader, opened, referring
from phr.records.search.conditions import made, searchable
from phr.records.search.params import COLUMNS, SearchParam, params_for
from phr.records.search.query import And, BadSearch, Condition, Has, Node, Not, Or, Span, Value

DEEPEST, MOST_TERMS = 10, 50
_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"_?[A-Za-z][\w-]*(?::[A-Za-z]+)?", re.ASCII)
_HAS = re.compile(r"_has:([A-Za-z]+):([\w-]+):", re.ASCII)
_WORD = re.compile(r"[a-z]{2,3}\b", re.ASCII)
_TOKEN = re.compile(r"[^\s\])]+")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ORDER = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
# parameter type -> operators
OPERATORS = {
    "string": frozenset({"eq", "ne", "co", "sw", "ew", "pr"}),
    "token": frozenset({"eq", "ne", "pr", "in", "ss", "sb"}), "uri": frozenset({"eq", "ne", "pr"}),
    "reference": frozenset({"eq", "ne", "re", "pr"}), "date": _ORDER | {"po", "pr"}, "number": _ORDER | {"pr"},
    "quantity": _ORDER | {"pr"},
}  # fmt: skip
_TEXTUAL = {"eq": "eq", "co": "contains", "sw": None, "ew": "ends"}
_CODED = {"in": "in", "ss": "below", "sb": "above"}


def read(type: str, text: str, reader: Reader) -> Node:
    """The condition of one `_filter` on a type. Raises BadSearch, naming the place."""
    filter = _Filter(text, reader)
    found = filter.expression(type, 0)
    if filter.at < len(text):
        raise filter.fault("expected and, or, or the end")
    return found


@dataclass(slots=True)
class _Filter:
    text: str
    reader: Reader
    at: int = 0
    terms: int = 0

    def fault(self, message: str) -> BadSearch:
        return BadSearch("_filter", f"at character {self.at + 1}: {message}")

    def take(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self.fault(f"expected {expected}")
        self.at = found.end()
        return found

    def skip(self) -> None:
        self.take(_SPACE, "space")

    def meets(self, mark: str) -> bool:
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def expression(self, type: str, depth: int) -> Node:
        if depth > DEEPEST:
            raise self.fault(f"more than {DEEPEST} levels of parentheses")
        found = self.term(type, depth)
        while True:
            self.skip()
            word = _WORD.match(self.text, self.at)
            if word is None or word[0] not in ("and", "or"):
                return found
            self.at = word.end()
            other = self.term(type, depth)
            found = _joined(And if word[0] == "and" else Or, found, other)

    def term(self, type: str, depth: int) -> Node:
        self.skip()
        self.terms += 1
        if self.terms > MOST_TERMS:
            raise self.fault(f"more than {MOST_TERMS} terms")
        start = self.at
        if self.meets("not"):
            self.skip()
            if self.meets("("):
                return Not(self.closed(type, depth, ")"))
            self.at = start
        if self.meets("("):
            return self.closed(type, depth, ")")
        return self.path(type, depth, 0)

    def closed(self, type: str, depth: int, mark: str) -> Node:
        found = self.expression(type, depth + 1)
        self.skip()
        if not self.meets(mark):
            raise self.fault(f"expected {mark}")
        return found

    def path(self, type: str, depth: int, steps: int) -> Node:
        if has := _HAS.match(self.text, self.at):
            param = referring(has[1], has[2], type, "_filter")
            self.reader.step("_filter", steps)
            self.at = has.end()
            return Has(param, self.path(has[1], depth, steps + 1))
        start = self.at
        name, _, kind = self.take(_NAME, "the name of a parameter")[0].partition(":")
        param = self.known(type, name, start)
        before = self.at
        bracket = self.meets("[")
        if not bracket and not self.meets("."):
            if kind:
                self.at = start
                raise self.fault("a modifier is an operator here")
            return self.comparison(param, start, inner=steps > 0)
        self.at = before
        return self.reader.chain(param, kind, "_filter", steps, self.inner(depth, steps))

    def inner(self, depth: int, steps: int) -> Callable[[str], Node | None]:
        """Reads what follows a reference, for each type it may lead to: from the same place again."""
        begin, terms = self.at, self.terms

        def of(kind: str) -> Node | None:
            ahead = _NAME.match(self.text, begin + 1)
            if ahead and ahead[0].partition(":")[0] not in params_for(kind) and self.text[begin] == ".":
                return None
            self.at, self.terms = begin, terms
            beside = self.closed(kind, depth, "]") if self.meets("[") else None
            if not self.meets("."):
                raise self.fault("expected . and what is asked of the resource")
            found = self.path(kind, depth, steps + 1)
            return found if beside is None else _joined(And, beside, found)

        return of

    def known(self, type: str, name: str, start: int) -> SearchParam:
        param = params_for(type).get(name)
        if param is None or not searchable(param) or param.type not in OPERATORS:
            self.at = start
            raise self.fault(f"{type} has no parameter {name[:40]!r} that can be filtered by")
        return param

    def comparison(self, param: SearchParam, start: int, *, inner: bool) -> Node:
        self.skip()
        at = self.at
        operator = self.take(_WORD, "an operator")[0]
        if operator not in OPERATORS[param.type] or (param.name in COLUMNS and operator == "pr"):
            self.at = at
            known = ", ".join(sorted(OPERATORS[param.type]))
            raise self.fault(f"{param.name} is compared by {known}")
        self.skip()
        at = self.at
        try:
            found = compared(param, operator, self.value(), self.reader.asked)
        except (ValueError, OverflowError) as error:
            self.at = at
            raise self.fault(str(error)) from None
        if lost := opened(found):
            self.at = start
            raise self.fault(f"{lost} is in the sealed text of {param.base}: it is searched directly only")
        return found

    def value(self) -> str:
        if not self.text.startswith('"', self.at):
            return self.take(_TOKEN, "a value")[0]
        found = json.loads(self.take(_STRING, 'a closing "')[0])
        assert isinstance(found, str)
        if any(c < " " or "\ud800" <= c <= "\udfff" for c in found):
            raise ValueError("contains a control character")
        return found


def _joined(kind: type[And | Or], one: Node, other: Node) -> Node:
    return kind((*one.parts, other)) if isinstance(one, kind) else kind((one, other))


def compared(param: SearchParam, operator: str, text: str, asked: values.Asked) -> Node:
    """`param operator text` as a condition. Raises ValueError."""
    if operator == "pr":
        if text not in ("true", "false"):
            raise ValueError("pr takes true or false")
        return Condition(param, (), missing=text == "false")
    if operator == "ne" and param.type not in ("date", "number"):
        there = Condition(param, (), missing=False)
        equal = compared(param, "eq", text, asked)
        return Not(equal) if param.name in COLUMNS else And((there, Not(equal)))
    if param.type == "token" and operator in _CODED:
        return made(param, (concepts.codes(param, _CODED[operator], _plain(text)),), _CODED[operator])
    if param.type == "string":
        return made(param, (values.value(param, "", None, _plain(text), asked),), _TEXTUAL[operator])
    return made(param, (_value(param, operator, _plain(text), asked),), None)


def _value(param: SearchParam, operator: str, text: str, asked: values.Asked) -> Value:
    if operator == "po":
        if text[:2].isalpha():
            raise ValueError("a value has no prefix here")
        found = values.value(param, "", None, text, asked)
        assert isinstance(found, Span)
        return Span("ap", found.low, found.high)
    if param.type in ("date", "number", "quantity"):
        if text[:2].isalpha():
            raise ValueError("a value has no prefix here")
        return values.value(param, "", None, operator + text, asked)
    return values.value(param, "", None, text, asked)


def _plain(text: str) -> str:
    """A value of a filter has no escapes of its own, but keeps its |."""
    return text.replace("\\", "\\\\")
