"""Bytes of a school's CSV file -> Items, streaming. Pure. A row that cannot be used falls out alone, named by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import Any

from integrations.items import Identity, Item, Piece
from integrations.problems import Problem, Unreadable
from integrations.school.catalogue import Shape, plain
from integrations.school.catalogue import items as shapes
from integrations.school.profile import Flag, Profile, columns
from integrations.school.wording import say
from integrations.tabular.dates import day
from integrations.tabular.figures import amount, is_my_number
from integrations.tabular.my_numbers import Watch, refuse_headers
from integrations.tabular.reading import Record, records
from phr.records import systems

LOOK_AHEAD = 1000
PUPIL = f"{systems.OWN}/NamingSystem/school-pupil"  # + / + the school's code
_SIGNS = {"-": "−", "(-)": "−", "陰性": "−", "+-": "±", "(±)": "±", "+": "＋", "(+)": "＋", "1+": "＋", "++": "2＋",
          "2+": "2＋", "+++": "3＋", "3+": "3＋"}  # fmt: skip
_VISION = ((Decimal("1.0"), "A"), (Decimal("0.7"), "B"), (Decimal("0.3"), "C"), (Decimal(0), "D"))


class _Fallen(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def items(pieces: Iterable[Piece], *, profile: Profile, code: str) -> Iterator[Item | Problem]:
    """The Items of the files, in order. Raises Unreadable when nothing of a file can be used."""
    for piece in pieces:
        yield from _of_piece(piece, profile, code)


def _of_piece(piece: Piece, profile: Profile, code: str) -> Iterator[Item | Problem]:
    found = records(piece.stream, declared=profile.encoding, delimiter=profile.delimiter)
    head, told = _head(found)
    places, noticed = _places(head, profile)
    yield from [*told, *noticed]
    reader = _Rows(profile, places, len(head.fields), code, piece.name)
    watch, ahead = Watch(), list(islice(found, LOOK_AHEAD))
    for one in ahead:
        watch.look(one)
    watch.refuse()
    for one in ahead:
        yield reader.read(one)
    for one in found:
        watch.look(one)
        yield reader.read(one)
    watch.refuse()
    yield from watch.doubts()


def _head(found: Iterator[Record | Problem]) -> tuple[Record, list[Problem]]:
    """The header row, and what was noticed above it. Raises Unreadable."""
    told: list[Problem] = []
    for one in found:
        if isinstance(one, Record):
            return one, told
        told.append(one)
        if one.severity == "error":
            break
    raise Unreadable([*told, say("no-rows")])


def _places(head: Record, profile: Profile) -> tuple[dict[str, int], list[Problem]]:
    """Place in the profile -> index of the column. Raises Unreadable."""
    refuse_headers(head.fields, line=head.line)
    names = [plain(name) for name in head.fields]
    places: dict[str, int] = {}
    faults: list[Problem] = []
    for place, column in columns(profile).items():
        at = [n for n, name in enumerate(names) if name in map(plain, column.name)]
        if len(at) > 1:
            faults.append(say("column-twice", line=head.line, name=column.name[0]))
        elif at:
            places[place] = at[0]
        elif column.required:
            faults.append(say("column-missing", line=head.line, name=column.name[0]))
    if faults:
        raise Unreadable(faults)
    rest = [n + 1 for n in range(len(names)) if n not in places.values()]
    listed = ", ".join(map(str, rest[:20]))
    return places, [say("columns-unknown", line=head.line, count=len(rest), fields=listed)] if rest else []


@dataclass(frozen=True, slots=True)
class _Rows:
    """Reads the rows of one file."""

    profile: Profile
    places: dict[str, int]
    width: int
    code: str
    piece: str

    def read(self, one: Record | Problem) -> Item | Problem:
        if isinstance(one, Problem):
            return one
        try:
            return self._item(one)
        except _Fallen as fallen:
            return fallen.problem

    def get(self, row: Record, place: str) -> str:
        at = self.places.get(place)
        return "" if at is None else row.fields[at].strip(" \u3000\t")

    def field(self, place: str) -> int | None:
        at = self.places.get(place)
        return None if at is None else at + 1

    def _item(self, row: Record) -> Item:
        if len(row.fields) != self.width:
            raise _Fallen(say("field-count", line=row.line, expected=self.width, found=len(row.fields)))
        problems: list[Problem] = []
        identity = self._identity(row, problems)
        try:
            content = self._content(row, identity, problems)
            deleted = self._flag(row, "correction", self.profile.correction, None)
        except _Fallen as fallen:
            if not identity.not_disclosed:
                raise
            # The row is of no use, but what it hides must be hidden: an Item that becomes nothing else.
            told = (*problems, replace(fallen.problem, severity="warning"))
            key = _key("not-disclosed", identity.value)
            return Item(key, identity, {"form": "nothing"}, row.line, self.piece, problems=told)
        return Item(
            _key("checkup", identity.value, content["on"]), identity, content, row.line, self.piece,
            said_at=self._said_at(row, problems), deleted=deleted, problems=tuple(problems),
        )  # fmt: skip

    def _identity(self, row: Record, problems: list[Problem]) -> Identity:
        number = self.get(row, "person.number")
        if not number or is_my_number(number):
            code = "number-like-my-number" if number else "no-number"
            raise _Fallen(say(code, line=row.line, field=self.field("person.number")))
        own = PUPIL if self.profile.person.system == "school" else systems.PERSON_AT_MUNICIPALITY
        birth = day(self.get(row, "person.birth_date"), tuple(self.profile.dates))
        if birth.fault:
            problems.append(say("bad-birth-date", line=row.line, field=self.field("person.birth_date")))
        sex = self.get(row, "person.sex")
        gender = self.profile.sexes.get(sex, "")
        if sex and not gender:
            problems.append(say("unknown-sex", line=row.line, field=self.field("person.sex")))
        hidden = False
        if self.profile.not_disclosed:
            hidden = self._flag(row, "not_disclosed", self.profile.not_disclosed, problems)
        name, kana = self.get(row, "person.name"), self.get(row, "person.kana")
        return Identity(f"{own}/{self.code}", number, name, kana, birth.text, gender, hidden)

    def _flag(self, row: Record, place: str, flag: Flag | None, problems: list[Problem] | None) -> bool:
        """What is neither yes nor no counts as yes, and is told; where it cannot be told so, the row falls out."""
        value = self.get(row, place)
        if flag is None or value in flag.no:
            return False
        if value in flag.yes:
            return True
        if problems is None:
            raise _Fallen(say("bad-correction", line=row.line, field=self.field(place)))
        problems.append(say("unknown-flag", line=row.line, field=self.field(place), name=flag.name[0]))
        return True

    def _said_at(self, row: Record, problems: list[Problem]) -> str:
        raw = self.get(row, "event.said_at")
        on = day(raw[:10], tuple(self.profile.dates)) if raw else None
        if on is not None and len(on.text) < 10:
            problems.append(say("bad-said-at", line=row.line, field=self.field("event.said_at")))
        return f"{on.text}{raw[10:].strip().replace(' ', 'T')}"[:32] if on is not None and len(on.text) == 10 else ""

    def _content(self, row: Record, identity: Identity, problems: list[Problem]) -> dict[str, Any]:
        on = day(self.get(row, "event.date"), tuple(self.profile.dates))
        if on.fault or not on.text:
            raise _Fallen(say("no-date", line=row.line, field=self.field("event.date")))
        if len(identity.birth_date) == len(on.text) == 10 and on.text < identity.birth_date:
            raise _Fallen(say("before-birth", line=row.line, field=self.field("event.date")))
        said = [
            self._entry(raw, shapes()[item], cell.codes, row.line, self.field(place), problems)
            for item, cell in self.profile.items.items()
            if (raw := self.get(row, place := f"items.{item}"))
        ]
        found = {"form": "checkup", "on": on.text, "edition": self.profile.obesity_edition, "items": said}
        grade = self.get(row, "event.grade")
        return found | ({"grade": grade} if grade else {})

    def _entry(
        self, raw: str, shape: Shape, codes: str, line: int, field: int | None, problems: list[Problem]
    ) -> dict[str, Any]:
        """{item, value, raw, map}: `value` is a number or one of the item's words; without it, `raw` as received."""
        entry: dict[str, Any] = {"item": shape.id, "raw": raw}
        if shape.value == "text":
            return entry
        if shape.value == "decimal":
            number = amount(raw)
            if number is None:
                problems.append(say("not-a-number", line=line, field=field, name=shape.name))
                return entry
            if not (shape.low or number) <= number <= (shape.high or number):
                problems.append(say("implausible", line=line, field=field, name=shape.name))
            return entry | {"value": str(number)}
        given = self.profile.maps.get(codes)
        word = given.codes.get(raw, "") if given else _word(raw, shape)
        if not word:
            problems.append(say("unmapped-code", line=line, field=field, name=shape.name))
            return entry
        return entry | {"value": word} | ({"map": [codes, given.version]} if given else {})


def _word(raw: str, shape: Shape) -> str:
    """The item's word for a cell; "" = none. A vision written as a number is the letter of its range."""
    folded = plain(raw)
    if shape.value == "vision" and (number := amount(folded)) is not None and Decimal(0) <= number <= Decimal("3.0"):
        return next(letter for least, letter in _VISION if number >= least)
    for word in shape.allowed:
        if plain(word) == folded.upper() or plain(word) == folded:
            return word
    sign = _SIGNS.get(folded, "")
    return sign if sign in shape.allowed else ""


def _key(*parts: str) -> str:
    return "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)
