"""What terminology refuses, each by its name. Pure.

`code` is an issue code of http://hl7.org/fhir/issue-type; the message is Japanese first, then English, and names
only canonical URLs and codes the caller gave or a definition holds.
"""

from __future__ import annotations


class TerminologyError(Exception):
    """Base: what was asked cannot be answered from the terminology at hand."""

    code = "not-supported"


class Unknown(TerminologyError):
    """No such CodeSystem, ValueSet, ConceptMap or concept here."""

    code = "not-found"


class NotExpandable(TerminologyError):
    """The members of a value set cannot be listed: what it draws on is not loaded, or a filter is not supported."""


class TooLarge(TerminologyError):
    """A limit was reached; the message names it."""

    code = "too-costly"


class BadFilter(TerminologyError):
    """A filter, an expression or a reference inside a definition is wrong."""

    code = "invalid"


def unknown(kind: str, url: str) -> Unknown:
    """`kind`: "CodeSystem", "ValueSet", "ConceptMap"."""
    return Unknown(f"{kind} {url[:200]} は読み込まれていません。This {kind} is not loaded here: {url[:200]}")
