"""FHIRPath functions on strings. Pure. Patterns run against strangers' text, so each has a time limit.

Source: FHIRPath N1 §5.6; FHIR R4: `matches` finds the pattern anywhere in the text.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import regex

from phr.records.fhirpath import values
from phr.records.fhirpath.context import Context, TooCostly
from phr.records.fhirpath.values import Items, Trouble

PATIENCE: Final = 0.05  # seconds for one pattern on one text
LONGEST: Final = 200_000  # characters a pattern looks at
COST: Final = 50  # steps a pattern counts as, and one more for each microsecond: many cannot add up to long
Plain = Callable[[Context, Items, list[Items]], Items]


@lru_cache(maxsize=1024)
def _pattern(text: str) -> regex.Pattern[str]:
    try:
        return regex.compile(text, regex.VERSION0)
    except (regex.error, RecursionError, OverflowError):
        raise Trouble("not a regular expression") from None


def _run(context: Context, text: str, pattern: str, deed: Callable[[regex.Pattern[str], str], Any]) -> Any:
    """What a pattern does with a text, within its time. Raises Trouble, TooCostly."""
    if len(text) > LONGEST:
        raise TooCostly("the text is too long for a pattern")
    found, began = _pattern(pattern), time.perf_counter()
    try:
        return deed(found, text)
    except TimeoutError:
        raise TooCostly("the pattern takes too long on this text") from None
    except (regex.error, IndexError):
        raise Trouble("not a replacement") from None
    finally:
        context.step(COST + int((time.perf_counter() - began) * 1_000_000))


def _match(context: Context, items: Items, given: list[Items], *, whole: bool) -> Items:
    text, pattern = values.text(items), values.text(given[0])
    if text is None or pattern is None:
        return []
    if whole:
        return [_run(context, text, pattern, lambda p, t: p.fullmatch(t, timeout=PATIENCE)) is not None]
    return [_run(context, text, pattern, lambda p, t: p.search(t, timeout=PATIENCE)) is not None]


def _replace_matches(context: Context, items: Items, given: list[Items]) -> Items:
    text, pattern, by = values.text(items), values.text(given[0]), values.text(given[1])
    if text is None or pattern is None or by is None:
        return []
    if len(by) > 1000:
        raise TooCostly("the text would grow too long")
    new = regex.sub(r"\$(\d)", r"\\g<\1>", by)
    return [_run(context, text, pattern, lambda p, t: p.sub(new, t, timeout=PATIENCE))]


def _substring(context: Context, items: Items, given: list[Items]) -> Items:
    text, start = values.text(items), values.whole(given[0])
    if text is None or start is None or not 0 <= start < len(text):
        return []
    length = values.whole(given[1]) if len(given) > 1 else None
    return [text[start:] if length is None else text[start : start + max(length, 0)]]


def _replace(context: Context, items: Items, given: list[Items]) -> Items:
    text, old, new = values.text(items), values.text(given[0]), values.text(given[1])
    if text is None or old is None or new is None:
        return []
    if len(text) * (len(new) + 1) > 10_000_000:
        raise TooCostly("the text would grow too long")
    return [text.replace(old, new)]


def _joined(context: Context, items: Items, given: list[Items]) -> Items:
    if not items:
        return []
    texts = [values.text([item]) or "" for item in items]
    return [(values.text(given[0]) or "" if given else "").join(texts)]


def _on(function: Callable[[str], Any]) -> Plain:
    """A function of one string."""

    def run(context: Context, items: Items, given: list[Items]) -> Items:
        text = values.text(items)
        return [] if text is None else [function(text)]

    return run


def _on_two(function: Callable[[str, str], Any]) -> Plain:
    """A function of two strings."""

    def run(context: Context, items: Items, given: list[Items]) -> Items:
        text, other = values.text(items), values.text(given[0])
        return [] if text is None or other is None else [function(text, other)]

    return run


def _split(context: Context, items: Items, given: list[Items]) -> Items:
    text, by = values.text(items), values.text(given[0])
    if text is None or not by:
        return []
    found = text.split(by)
    context.step(len(found))
    return list(found)


def _characters(context: Context, items: Items, given: list[Items]) -> Items:
    text = values.text(items) or ""
    context.step(len(text))
    return list(text)


STRINGS: Final[dict[str, tuple[int, int, Plain]]] = {
    "matches": (1, 1, lambda c, i, g: _match(c, i, g, whole=False)),
    "matchesFull": (1, 1, lambda c, i, g: _match(c, i, g, whole=True)),
    "replaceMatches": (2, 2, _replace_matches),
    "substring": (1, 2, _substring),
    "replace": (2, 2, _replace),
    "indexOf": (1, 1, _on_two(lambda text, other: text.find(other))),
    "startsWith": (1, 1, _on_two(lambda text, other: text.startswith(other))),
    "endsWith": (1, 1, _on_two(lambda text, other: text.endswith(other))),
    "contains": (1, 1, _on_two(lambda text, other: other in text)),
    "upper": (0, 0, _on(lambda text: text.upper())),
    "lower": (0, 0, _on(lambda text: text.lower())),
    "trim": (0, 0, _on(lambda text: text.strip())),
    "length": (0, 0, _on(len)),
    "split": (1, 1, _split),
    "join": (0, 1, _joined),
    "toChars": (0, 0, _characters),
}
