"""FHIRPath text -> syntax tree. Pure. Source: FHIRPath N1 (2.0.0), grammar and precedence (§ "Precedence")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

LONGEST: Final = 20_000  # characters of an expression
DEEPEST: Final = 60  # levels of nesting


class Unsupported(Exception):
    """The expression is not FHIRPath, or asks for something this engine does not know."""


@dataclass(frozen=True, slots=True)
class Literal:
    """`kind`: string, number, boolean, time (text after @), empty. `unit` makes a number a quantity."""

    kind: str
    value: Any
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """A child by name, of `of` or of the focus."""

    name: str
    of: Ast | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """$this, $index, $total, %resource …"""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Ast, ...]
    of: Ast | None = None


@dataclass(frozen=True, slots=True)
class Indexed:
    of: Ast
    index: Ast


@dataclass(frozen=True, slots=True)
class Typed:
    """`is` or `as` with a type name."""

    operator: str
    left: Ast
    type: str


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Ast
    right: Ast


@dataclass(frozen=True, slots=True)
class Negative:
    of: Ast


Ast: TypeAlias = Literal | Name | Variable | Call | Indexed | Typed | Binary | Negative

_TOKEN = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/
    |(?P<time>@(?:T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?
        |\d{4}(?:-\d\d(?:-\d\d)?)?(?:T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)?)?))
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<variable>[$%](?:[A-Za-z_][A-Za-z0-9_-]*|`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'))
    |(?P<quoted>`(?:[^`\\]|\\.)*`)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign><=|>=|!=|!~|[-+*/&|<>=~.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_BINDING = {
    "implies": 1, "or": 2, "xor": 2, "and": 3, "in": 4, "contains": 4, "=": 5, "~": 5, "!=": 5, "!~": 5,
    "<": 6, ">": 6, "<=": 6, ">=": 6, "|": 7, "is": 8, "as": 8, "+": 9, "-": 9, "&": 9,
    "*": 10, "/": 10, "div": 10, "mod": 10,
}  # fmt: skip
_CALENDAR = {"year", "month", "week", "day", "hour", "minute", "second", "millisecond"}
Token = tuple[str, str]


def parse(text: str) -> Ast:
    """The syntax tree of an expression. Raises Unsupported."""
    if len(text) > LONGEST:
        raise Unsupported(f"longer than {LONGEST} characters")
    reader = _Reader(_tokens(text))
    tree = reader.expression(0)
    if reader.peek() != ("end", ""):
        raise Unsupported(f"unexpected {reader.peek()[1]!r}")
    return tree


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Unsupported(f"unexpected {text[at]!r}")
        at = match.end()
        if match.lastgroup:
            found.append((match.lastgroup, match[0]))
    found.append(("end", ""))
    return found


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPED.get(code, code)

    return _ESCAPE.sub(one, text)


class _Reader:
    """Precedence climbing over the tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0

    def peek(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def expect(self, sign: str) -> None:
        if self.take() != ("sign", sign):
            raise Unsupported(f"{sign!r} is missing")

    def expression(self, binding: int) -> Ast:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unsupported(f"nested deeper than {DEEPEST} levels")
        left = self.unary()
        while (operator := self.peek())[0] in ("sign", "name") and _BINDING.get(operator[1], 0) > binding:
            self.take()
            if operator[1] in ("is", "as"):
                left = Typed(operator[1], left, self.type_name())
            else:
                left = Binary(operator[1], left, self.expression(_BINDING[operator[1]]))
        self.depth -= 1
        return left

    def unary(self) -> Ast:
        if self.peek() == ("sign", "-"):
            self.take()
            return Negative(self.unary())
        if self.peek() == ("sign", "+"):
            self.take()
            return self.unary()
        node = self.term()
        while self.peek() in (("sign", "."), ("sign", "[")):
            if self.take()[1] == "[":
                node = Indexed(node, self.expression(0))
                self.expect("]")
            else:
                node = self.invocation(node)
        return node

    def term(self) -> Ast:
        kind, text = self.peek()
        match kind:
            case "string":
                self.take()
                return Literal("string", _unescaped(text[1:-1]))
            case "time":
                self.take()
                return Literal("time", text[1:])
            case "number":
                self.take()
                return self.number(text)
            case "variable":
                self.take()
                bare = text[1:]
                return Variable(text[0] + (_unescaped(bare[1:-1]) if bare[:1] in "`'" else bare))
            case "sign" if text == "(":
                self.take()
                inner = self.expression(0)
                self.expect(")")
                return inner
            case "sign" if text == "{":
                self.take()
                self.expect("}")
                return Literal("empty", None)
            case "name" if text in ("true", "false"):
                self.take()
                return Literal("boolean", text == "true")
        return self.invocation(None)

    def number(self, text: str) -> Literal:
        value = Decimal(text) if "." in text else int(text)
        kind, unit = self.peek()
        if kind == "string":
            self.take()
            return Literal("number", value, _unescaped(unit[1:-1]))
        if kind == "name" and unit.removesuffix("s") in _CALENDAR:
            self.take()
            return Literal("number", value, unit.removesuffix("s"))
        return Literal("number", value)

    def invocation(self, of: Ast | None) -> Ast:
        kind, text = self.take()
        if kind == "variable" and text[0] == "$" and of is None:
            return Variable(text)
        if kind not in ("name", "quoted"):
            raise Unsupported(f"unexpected {text!r}" if text else "the expression ends too early")
        name = _unescaped(text[1:-1]) if kind == "quoted" else text
        if self.peek() != ("sign", "("):
            return Name(name, of)
        self.take()
        arguments: list[Ast] = []
        while self.peek() != ("sign", ")"):
            if arguments:
                self.expect(",")
            arguments.append(self.expression(0))
        self.take()
        return Call(name, tuple(arguments), of)

    def type_name(self) -> str:
        kind, text = self.take()
        if kind not in ("name", "quoted"):
            raise Unsupported("a type name is missing")
        name = text.strip("`")
        while self.peek() == ("sign", "."):
            self.take()
            name += "." + self.take()[1].strip("`")
        return name


def named_type(tree: Ast) -> str:
    """The type name an argument spells: Quantity, FHIR.Patient, System.String. Raises Unsupported."""
    if isinstance(tree, Name):
        return f"{named_type(tree.of)}.{tree.name}" if tree.of is not None else tree.name
    if isinstance(tree, Literal) and tree.kind == "string":
        return str(tree.value)
    raise Unsupported("a type name is expected")
