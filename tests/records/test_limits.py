"""The table of limits says the numbers that are in force, and a request over one is told which."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from phr.fhir import shape, wire
from phr.fhir.bulk import plan
from phr.fhir.operations import lastn
from phr.fhir.outcome import Problem
from phr.records import including, pointing, reading, searching
from phr.records.search import chain, concepts, conditions, parse, steering
from phr.records.search import filter as filtering
from phr.records.search.query import BadSearch

DECISION = Path(reading.__file__).parent / "decisions" / "what-a-question-may-cost.md"
LIMITS = {
    "candidates opened": (searching.MOST_OPENED,),
    "resources included": (including.MOST_INCLUDED, including.DEEPEST),
    "terms of one step": (pointing.MOST_TERMS,),
    "parameters of a query string": (wire.MOST_FIELDS, parse.MOST_PARAMETERS, plan.MOST_FIELDS),
    "characters of a value": (parse.LONGEST_VALUE,),
    "values of one parameter": (conditions.MOST_VALUES,),
    "codes one condition": (concepts.MOST_CODES,),
    "steps from resource": (chain.DEEPEST, chain.MOST_STEPS),
    "types one step": (chain.MOST_ALTERNATIVES,),
    "levels and terms": (filtering.DEEPEST, filtering.MOST_TERMS),
    "sort keys": (steering.MOST_KEYS,),
    "`_include` and": (steering.MOST_INCLUDES,),
    "`_elements`": (shape.MOST_ELEMENTS,),
    "candidates of `$lastn`": (lastn.MOST,),
    "bytes of a page": (reading.PAGE_BYTES // 1024 // 1024,),
}


@pytest.mark.parametrize("what", LIMITS)
def test_the_table_says_what_is_in_force(what: str) -> None:
    rows = [line.split("|") for line in DECISION.read_text().splitlines() if line.startswith(f"| {what}")]
    [(_, _, limit, *_)] = rows
    numbers = tuple(int(text.replace(",", "")) for text in re.findall(r"[0-9][0-9,]*", limit))
    assert numbers[: len(LIMITS[what])] == LIMITS[what]


def test_too_many_parameters_are_told_so() -> None:
    fits = "&".join(["code=x"] * wire.MOST_FIELDS)
    assert len(wire.pairs(fits)) == wire.MOST_FIELDS
    with pytest.raises(Problem) as caught:
        wire.pairs(f"{fits}&code=x")
    assert "More than 100 parameters" in caught.value.issues[0].diagnostics
    with pytest.raises(BadSearch, match="more than 50 parameters"):
        plan.pairs("&".join(["code=x"] * (plan.MOST_FIELDS + 1)))
