"""Where in a file the columns of a profile stand. Pure.

Headers are compared in NFKC and without any space or line break (「 健診　受診日 」 = 「健診受診日」); of two header
rows a name is `upper/lower`, the upper cell reaching over the empty ones to its right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from integrations.municipal_csv import profile as profiles
from integrations.municipal_csv.catalogue import plain
from integrations.municipal_csv.profile import Column, Profile
from integrations.municipal_csv.wording import say
from integrations.problems import Problem, Unreadable
from integrations.tabular.my_numbers import refuse_headers


@dataclass(frozen=True, slots=True)
class Layout:
    """`places`: the profile's name of a column -> its index from 0. `rest`: (header, index) of columns it does not
    name; `width`: fields of every row."""

    places: dict[str, int]
    keyed: dict[str, int]  # headers only the key names; they are kept with the rest, too
    rest: tuple[tuple[str, int], ...]
    width: int
    problems: tuple[Problem, ...] = ()


def laid(profile: Profile, headers: Sequence[Sequence[str]], *, width: int, line: int) -> Layout:
    """Find the columns. `headers`: the header rows, none where there are none; `line`: of the last of them.

    Raises Unreadable: a column the file must have is missing or there twice, or one is a 個人番号.
    """
    names = names_of(headers, width)
    refuse_headers((cell for row in headers for cell in row), line=line)
    folded: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        folded.setdefault(plain(name), []).append(at)
    places, faults, absent = dict[str, int](), list[Problem](), list[str]()
    for place, column in profiles.columns(profile):
        index = _index(column, folded, width)
        if index == TWICE:
            faults.append(say("column-twice", line=line, name=place))
        elif index is not None:
            places[place] = index
        elif column.required or place in _NEEDED:
            faults.append(say("column-missing", line=line, name=_called(place, column)))
        else:
            absent.append(_called(place, column))
    if faults:
        raise Unreadable(faults)
    told = [say("columns-absent", line=line, count=len(absent), names=", ".join(absent[:MOST_NAMED]))] if absent else []
    keyed = _keyed(profile, folded, line)
    used = set(places.values())
    rest = tuple((name or f"{index + 1}", index) for index, name in enumerate(names) if index not in used)
    if rest and profile.free.rest != "ignore":
        fields = ", ".join(str(index + 1) for _, index in rest[:MOST_NAMED])
        told.append(say("columns-unknown", line=line, count=len(rest), fields=fields))
    return Layout(places, keyed, rest, width, tuple(told))


TWICE = -1
MOST_NAMED = 20
_NEEDED = frozenset({"person.number", "event.date", "vaccine.vaccine", "not_disclosed", "correction"})


def names_of(headers: Sequence[Sequence[str]], width: int) -> tuple[str, ...]:
    if not headers:
        return ("",) * width
    if len(headers) == 1:
        return tuple(cell.strip() for cell in headers[0])
    upper, lower = ([*row, *[""] * (width - len(row))] for row in headers)
    names, over = [], ""
    for above, below in zip(upper, lower, strict=True):
        over = above.strip() or over
        names.append(f"{over}/{below.strip()}" if below.strip() else above.strip())
    return tuple(names)


def _index(column: Column, folded: dict[str, list[int]], width: int) -> int | None:
    if column.at is not None:
        return column.at - 1 if column.at <= width else None
    for name in column.names:
        if found := folded.get(plain(name)):
            return found[0] if len(found) == 1 else TWICE
    return None


def _called(place: str, column: Column) -> str:
    return " / ".join(column.names) or f"{place} ({column.at})"


def _keyed(profile: Profile, folded: dict[str, list[int]], line: int) -> dict[str, int]:
    found = {}
    for name in profile.key:
        if name in KEY_WORDS:
            continue
        at = folded.get(plain(name), [])
        if len(at) != 1:
            raise Unreadable([say("column-twice" if at else "column-missing", line=line, name=name)])
        found[name] = at[0]
    return found


KEY_WORDS = frozenset({"date", "stage", "vaccine", "dose"})
