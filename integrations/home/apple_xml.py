"""Apple Health's `export.xml`, read as a stream: of gigabytes only what is taken in is kept. Pure.

The file begins with a document type of its own (elements and attributes), which is skipped; one that declares an
entity is refused, so nothing is ever expanded or fetched. Blood pressures stand there as two Records of one time and
source (and once more inside a Correlation, which is passed over).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import IO
from xml.parsers import expat

from integrations.home.samples import Passed, Reading, Sample, measure_of, moment, number, unit_of
from integrations.home.wording import say
from integrations.ids import digest
from integrations.problems import Problem, Unreadable

SOURCE = "apple-health"
BLOCK = 1 << 16
MOST_HALVES = 10_000  # pressures whose other half has not come yet
DEEPEST = 20  # elements within each other; an export has 4
LONGEST_TOKEN = 1 << 20  # bytes of one tag, comment or the like: until it ends, expat keeps all of it
LONGEST_PROLOG = 1 << 20  # bytes before the first element; an export has 10,000
MOST_NAMES = 5_000  # of elements and attributes: expat keeps each; an export has 100
MOST_DECLARED = 1_000  # attributes in the document type: expat looks at them with every element
LONGEST_DEVICE = 80
Read = Sample | Passed | Problem
NO_ELEMENTS = expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]
_HALVES = ("systolic", "diastolic")


def read(stream: IO[bytes]) -> Iterator[Read]:
    """Everything in the file, in its order; a Problem names the line. Raises Unreadable."""
    reader = _Reader()
    names: dict[str, str] = {}
    parser = expat.ParserCreate(None, None, names)
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.specified_attributes = True  # what a document type says for an attribute left out is nobody's word
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.AttlistDeclHandler = reader.declared
    parser.EntityDeclHandler = _no_entities
    parser.ExternalEntityRefHandler = _no_entities
    reader.line = lambda: parser.CurrentLineNumber
    try:
        fed = 0
        while block := stream.read(BLOCK):
            parser.Parse(block, False)
            fed += len(block)
            if fed - parser.CurrentByteIndex > LONGEST_TOKEN or (fed > LONGEST_PROLOG and not reader.begun):
                raise Unreadable([say("too-long", line=parser.CurrentLineNumber)])
            if len(names) > MOST_NAMES:
                raise Unreadable([say("not-apple", line=parser.CurrentLineNumber)])
            yield from reader.taken()
        parser.Parse(b"", True)
    except (LookupError, ValueError):  # an encoding that Python, or expat, does not know
        raise Unreadable([say("encoding")]) from None
    except expat.ExpatError as error:
        code = "empty" if error.code == NO_ELEMENTS and not reader.depth else "not-xml"
        raise Unreadable([say(code, line=error.lineno)]) from None
    yield from reader.taken()
    yield from reader.left()


def _no_entities(*declared: object) -> int:
    raise Unreadable([say("entities")])


class _Reader:
    """What the parser calls."""

    def __init__(self) -> None:
        self.found: list[Read] = []
        self.halves: dict[str, Sample] = {}
        self.inside = 0  # how deep within a Correlation
        self.depth = 0
        self.begun = False
        self.attributes = 0  # that the document type declares
        self.line = lambda: 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.begun = True
        if self.depth > DEEPEST:
            raise Unreadable([say("too-deep", line=self.line())])
        if self.depth == 1 and name != "HealthData":
            raise Unreadable([say("not-apple", line=self.line())])
        if name == "Correlation" or self.inside:
            self.inside += 1
        elif name == "Record":
            self.record(attributes)

    def end(self, _name: str) -> None:
        self.depth -= 1
        self.inside -= self.inside > 0

    def declared(self, *_attribute: object) -> None:
        self.attributes += 1
        if self.attributes > MOST_DECLARED:
            raise Unreadable([say("not-apple", line=self.line())])

    def record(self, told: Mapping[str, str]) -> None:
        measure = measure_of(told.get("type", ""))
        made: Read = _sample(told, measure, self.line()) if measure else Passed(told.get("type", "")[:80])
        if not isinstance(made, Sample) or measure not in _HALVES:
            self.found.append(made)
            return
        key = digest(told.get("startDate", ""), told.get("endDate", ""), told.get("sourceName", ""))
        other = self.halves.pop(key, None)
        if other is None or other.readings[0].measure == measure:
            self.halves[key] = made
            self.found += [other] if other else []
            if len(self.halves) > MOST_HALVES:
                self.found.append(self.halves.pop(next(iter(self.halves))))
            return
        self.found.append(_joined(other, made))

    def taken(self) -> list[Read]:
        taken, self.found = self.found, []
        return taken

    def left(self) -> list[Sample]:
        """Pressures of which only one half is there."""
        return list(self.halves.values())


def _sample(told: Mapping[str, str], measure: str, line: int) -> Sample | Problem:
    value, unit = number(told.get("value", "")), unit_of(told.get("unit", ""))
    start, end = moment(told.get("startDate")), moment(told.get("endDate"))
    fault = (
        "no-value" if value is None else "no-unit" if not unit else "bad-time" if start is None else ""
    )  # fmt: skip
    if fault:
        return say(fault, line=line)
    assert value is not None and start is not None
    source = told.get("sourceName", "")
    uid = digest(told.get("type", ""), told.get("startDate", ""), told.get("endDate", ""), source, _plain(value), unit)
    later: datetime | None = end if end and end > start else None
    return Sample(SOURCE, uid, (Reading(measure, value, unit),), start, later, line, device=source[:LONGEST_DEVICE])


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _joined(one: Sample, other: Sample) -> Sample:
    """The two halves of a blood pressure, systolic first."""
    first, second = sorted((one, other), key=lambda s: _HALVES.index(s.readings[0].measure))
    uid = digest(first.uid, second.uid)
    return Sample(
        SOURCE, uid, (*first.readings, *second.readings), first.start, first.end, min(one.place, other.place),
        device=first.device,
    )  # fmt: skip
