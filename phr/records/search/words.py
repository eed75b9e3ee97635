"""Full text (`_text`, `_content`) of the types that belong to no one: texts as PostgreSQL's tsvector. Pure.

A Latin word is a lexeme and is found by its beginning; running Japanese, where nothing parts the words, stands as
overlapping pairs of characters, so that any part of it is found. What one asks for in one piece must stand in one
piece; pieces apart by white space may stand apart, in any order. Both sides are folded (`normal`).

Source: FHIR R4 3.1.1.5.10 (_text, _content); PostgreSQL, Text Search Types (16,383 positions, 2 KB a lexeme).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from phr.records.scoping import SQL, Params
from phr.records.search.normal import whole
from phr.records.search.params import SearchParam
from phr.records.search.query import Text, kept_ids

LAST = 16_383  # position: what stands behind it is found, but not as one piece with what is before
MOST = 200_000  # characters of a resource's text that are kept
MOST_BYTES = 900_000  # of a tsvector; PostgreSQL takes a megabyte
MOST_PLACES = 255  # positions of one lexeme
LONGEST_WORD = 100
_JAPANESE = "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(rf"[{_JAPANESE}]+|[^\W{_JAPANESE}]+")


def vector(texts: Iterable[str]) -> str:
    """The tsvector of some texts, as PostgreSQL writes it; empty where there is no word. Texts stay apart."""
    places: dict[str, list[int]] = {}
    room = MOST_BYTES
    for at, lexeme in _placed(texts):
        found = places.setdefault(lexeme, [])
        if len(found) < MOST_PLACES and at not in found[-1:]:
            room -= 2 if found else 6 + len(lexeme.encode())
            found.append(at)
        if room < 0:
            break
    return " ".join(f"'{lexeme}':{','.join(map(str, found))}" for lexeme, found in sorted(places.items()))


def _placed(texts: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lexemes with their positions."""
    at, room = 0, MOST
    for text in texts:
        for piece in whole(text[:room]).split():
            for lexeme in _lexemes(piece):
                at += 1
                yield min(at, LAST), lexeme
            at += 1  # a gap: no piece reaches across
        room -= len(text)
        if room <= 0:
            return


def asked(text: str) -> str:
    """The tsquery for a text; empty where it has no word in it, and then nothing is found."""
    pieces = (whole(piece) for piece in text.split())
    return " & ".join(f"({_phrase(piece)})" for piece in pieces if _RUN.search(piece))


def _phrase(piece: str) -> str:
    """The lexemes of a piece, one after the other; the last one may go on."""
    found = list(_lexemes(piece))
    runs = _RUN.findall(piece)
    if len(runs[-1]) > 1 and _is_japanese(runs[-1]):
        found.pop()  # the single character that ends a run; the pair before it says as much
    return " <-> ".join([*(f"'{lexeme}'" for lexeme in found[:-1]), f"'{found[-1]}':*"])


def _lexemes(piece: str) -> Iterator[str]:
    """Words, and pairs of Japanese characters; the last character of a run stands alone too."""
    for run in _RUN.findall(piece):
        if _is_japanese(run):
            yield from (run[n : n + 2] for n in range(len(run)))
        else:
            yield run[:LONGEST_WORD]


def _is_japanese(run: str) -> bool:
    return re.match(f"[{_JAPANESE}]", run) is not None


def holds(value: Text, param: SearchParam, r: str, p: Params) -> SQL:
    """The row `r` says what is asked for (a parameter `_text` or `_content` of a type that belongs to no one)."""
    query = asked(value.exact)
    if not query:
        return "FALSE"
    return (
        f"EXISTS (SELECT 1 FROM phr_words x WHERE x.resource_id = {r}.id"
        f" AND x.param = ANY({p(list(kept_ids(param)))}::smallint[]) AND x.words @@ {p(query)}::tsquery)"
    )
