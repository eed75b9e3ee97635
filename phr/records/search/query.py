"""A search as data: what `parse.py` makes of a query string and `compile.py` turns into SQL. Pure.

How a compiler reads a Condition (all conditions of a Query hold together; values of one are alternatives):

* `missing` set: present_term(type, param.name) in terms, or not;
* Token, Reference, Logical, Uri, Typed, Codes, Amount, Paired, and Text with modifier "exact": `asked.cover(condition,
  key)` gives sets of hashes to be met in `terms`; modifiers "not" and "not-in": none of them may be (resources
  without a value match too). No hash at all: no match;
* Span (date, number): EXISTS a Range row with param_id in `kept_ids(param)` for which
  `ranges.holds(prefix, (low, high), row)`; for "ne" the row must exist too;
* Text: EXISTS a Text row with param_id in `kept_ids(param)`, text LIKE folded || '%', or
  '%' || folded || '%' for modifier "contains" (escape % _ \\);
* `_id` (Token values) and `_lastUpdated` (Span values) speak of columns.
"""

from __future__ import annotations

from dataclasses import dataclass

from phr.records.search.params import SearchParam


class BadSearch(Exception):
    """A search that cannot be answered: the parameter as it was written, and why."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(f"{parameter}: {message}")
        self.parameter = parameter
        self.message = message


@dataclass(frozen=True, slots=True)
class Token:
    """system None = any, "" = none; code None = any code of the system."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """`reference`: Type/id, an absolute URL, a urn or a canonical; else `id` alone, of any target type."""

    reference: str | None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Logical:
    """A reference by identifier (`:identifier`)."""

    system: str | None
    value: str


@dataclass(frozen=True, slots=True)
class Uri:
    uri: str


@dataclass(frozen=True, slots=True)
class Span:
    """A date (microseconds) or a number with its prefix; `ap` is widened already, from what was `asked`."""

    prefix: str
    low: float
    high: float
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """`folded`: normal form, to be found at the beginning or inside; `exact`: as written."""

    folded: str
    exact: str


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity: a prefix, the range as it was written, the exact number; system None = any, "" = none.

    `code`: the unit's code, or (system None) a code or a unit as printed; None = any unit.
    """

    prefix: str
    low: float
    high: float
    number: float
    system: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Typed:
    """An identifier with its type (`:of-type`)."""

    system: str
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class Codes:
    """A set of codings, (system, code): `:in`, `:below`, `:above`, with what the terminology says they hold."""

    asked: str
    codes: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Paired:
    """A value of a composite parameter: one value per component, of which all must hold together."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Near:
    """A place on earth (WGS84, degrees) and a distance (metres)."""

    latitude: float
    longitude: float
    metres: float


Value = Token | Reference | Logical | Uri | Span | Text | Amount | Typed | Codes | Paired | Near


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter of a search: any of the values.

    `modifier`: None, not, exact, contains, identifier, text, in, not-in, above, below, of-type; from `_filter`
    also eq (the whole string, folded), ends.
    """

    param: SearchParam
    values: tuple[Value, ...]
    modifier: str | None = None
    missing: bool | None = None


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


@dataclass(frozen=True, slots=True)
class Each:
    """In a search on several types: what must hold of a row, by its type; a row of another type does not match."""

    parts: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """A reference by `param` leads to a resource of one of the types, of which the node of that type holds."""

    param: SearchParam
    targets: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Has:
    """A resource of type `param.base` refers here by `param`, and `inner` holds of it (`_has`, `_list`)."""

    param: SearchParam
    inner: Node


Node = Condition | And | Or | Not | Each | Chain | Has


@dataclass(frozen=True, slots=True)
class Include:
    """`_include`, `_revinclude`: references by `param` (None = all, "*") of `source` ("*" = of every type).

    `target`: only references to this type. `iterate`: what it brings is followed too.
    """

    source: str
    param: SearchParam | None
    target: str | None = None
    reverse: bool = False
    iterate: bool = False


@dataclass(frozen=True, slots=True)
class SortKey:
    """Sort by a Range (date), a Text (string), or the columns of `_id`, `_lastUpdated`.

    `through`: a reference by which one goes to the resource whose `param` counts (`subject.name`).
    """

    param: SearchParam
    descending: bool
    through: SearchParam | None = None

    @property
    def name(self) -> str:
        way = f"{self.through.name}:{self.param.base}." if self.through else ""
        return f"{'-' if self.descending else ''}{way}{self.param.name}"


@dataclass(frozen=True, slots=True)
class Query:
    """A search on one or several types. `count` 0 asks for the total only; `total`: none, estimate, accurate.

    `conditions`: all of them hold. `opening`: conditions that the index cannot answer: of those that SQL finds,
    only the resources match of which they hold too, once opened.
    `unknown`: parameters that were not understood, and so not applied; the door says so or refuses.
    `page`: the cursor as it came. `summary`, `elements`, `includes`: how to show the result, not what to find.
    `compartment`: (type, id): only what belongs to that person's compartment.
    """

    types: tuple[str, ...]
    conditions: tuple[Node, ...] = ()
    sort: tuple[SortKey, ...] = ()
    count: int = 50
    total: str = "none"
    page: str | None = None
    summary: str | None = None
    elements: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    opening: tuple[Condition, ...] = ()
    compartment: tuple[str, str] | None = None

    @property
    def type(self) -> str:
        """The type, or what a log says of several."""
        return self.types[0] if len(self.types) == 1 else "*"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that are asked for, wherever they stand: what the log keeps of a search."""
        return tuple(sorted({name for node in (*self.conditions, *self.opening) for name in _names(node)}))

    @property
    def fingerprint(self) -> str:
        """The same for two searches exactly if they look for the same things in the same order."""
        conditions = sorted(told(node) for node in self.conditions)
        opening = sorted(told(node) for node in self.opening)
        order = ",".join(key.name for key in self.sort)
        within = "/".join(self.compartment or ())
        return f"{within}/{'+'.join(self.types)}?{'&'.join(conditions)}&open={'&'.join(opening)}&_sort={order}"


def told(node: Node) -> str:
    """A node as text, the same exactly for equal nodes (a parameter's definition follows from type and name)."""
    match node:
        case Condition(param, values, modifier, missing):
            return f"{param.base}.{param.name}:{modifier}:{missing}={_values(values)}"
        case And(parts) | Or(parts):
            return f"{type(node).__name__}({';'.join(sorted(told(part) for part in parts))})"
        case Not(part):
            return f"Not({told(part)})"
        case Each(parts):
            return f"Each({';'.join(f'{kind}={told(part)}' for kind, part in parts)})"
        case Chain(param, targets):
            return f"{param.base}.{param.name}({';'.join(f'{kind}={told(part)}' for kind, part in targets)})"
        case Has(param, inner):
            return f"_has:{param.base}:{param.name}({told(inner)})"


def _values(values: tuple[Value, ...]) -> str:
    # What a ValueSet holds, and how near "approximately" is, may change from page to page; the question does not.
    return repr(tuple(v.asked if isinstance(v, (Codes, Span)) and v.asked else v for v in values))


def below(node: Node) -> tuple[Node, ...]:
    """The nodes a node is made of."""
    match node:
        case And(parts) | Or(parts):
            return parts
        case Not(part):
            return (part,)
        case Each(parts) | Chain(_, parts):
            return tuple(part for _, part in parts)
        case Has(_, inner):
            return (inner,)
    return ()


def _names(node: Node) -> set[str]:
    own = {node.param.name} if isinstance(node, (Condition, Chain, Has)) else set()
    return own.union(*(_names(part) for part in below(node)))


def kept_ids(param: SearchParam) -> tuple[int, ...]:
    """The param_ids under which Range and Text rows of a parameter stand."""
    return tuple(kept.id for kept in param.kept)
