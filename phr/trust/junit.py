"""What a test run said, read from its JUnit XML (pytest's `--junitxml`): for the self-assessment (IT-31)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_CASE = re.compile(r"<testcase\b([^>]*?)(/>|>(.*?)</testcase>)", re.DOTALL)
_ATTRIBUTE = re.compile(r"\b(classname|name)=\"([^\"]*)\"")
_WORST_FIRST = ("failed", "not run", "passed")


class Unreadable(Exception):
    """The file holds no test case."""


def outcomes(file: Path) -> dict[str, str]:
    """ "tests/x/test_y.py::Class::name" -> passed, failed, not run (skipped); of parametrized cases the worst.

    Read by pattern, without an XML parser: nothing in it is ever expanded. Raises OSError, Unreadable.
    """
    found: dict[str, str] = {}
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Unreadable from None
    for head, _, inner in _CASE.findall(text):
        told = dict(_ATTRIBUTE.findall(head))
        name = f"{told.get('classname', '')}.{told.get('name', '').split('[')[0]}"
        found[name] = worst([_outcome(inner), *([found[name]] if name in found else [])])
    if not found:
        raise Unreadable
    return found


def of(test: str, told: Mapping[str, str]) -> str:
    """The outcome of a test named by its path, "tests/x/test_y.py::Class::name"."""
    return told.get(test.replace(".py::", ".").replace("::", ".").replace("/", "."), "not run")


def worst(outcomes: Iterable[str]) -> str:
    """A duty is as good as its worst test; without one it is not run."""
    found = set(outcomes)
    return next((one for one in _WORST_FIRST if one in found), "not run")


def _outcome(inner: str) -> str:
    if "<failure" in inner or "<error" in inner:
        return "failed"
    return "not run" if "<skipped" in inner else "passed"
