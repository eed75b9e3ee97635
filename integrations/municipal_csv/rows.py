"""One record -> an Item: whom it is about, when, what it says, what is doubtful. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from integrations.items import Identity, Item
from integrations.municipal_csv import catalogue, cells
from integrations.municipal_csv.cells import warning
from integrations.municipal_csv.layout import KEY_WORDS, Layout
from integrations.municipal_csv.profile import Cell, Flag, Profile
from integrations.municipal_csv.wording import say
from integrations.problems import Problem
from integrations.tabular.dates import Day, day, months_between
from integrations.tabular.figures import count, is_municipality, is_my_number, unprintable
from integrations.tabular.reading import Record
from phr.records import systems

MUNICIPALITY = 6  # digits of a 団体コード; a 医療機関コード has ten
_SPACES = " \u3000\t\r\n"


class Fallen(Exception):
    """The row cannot be used. `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Row:
    """The fields of one record by the profile's names of columns, and the problems met."""

    __slots__ = ("fields", "layout", "line", "problems")

    def __init__(self, record: Record, layout: Layout) -> None:
        self.fields = record.fields
        self.line = record.line
        self.layout = layout
        self.problems: list[Problem] = []

    def get(self, place: str) -> str:
        """The text of a column without spaces around it; "" where the file has no such column."""
        index = self.layout.places.get(place)
        return "" if index is None or index >= len(self.fields) else self.fields[index].strip(_SPACES)

    def say(self, code: str, place: str, **words: object) -> Problem:
        index = self.layout.places.get(place)
        return say(
            code,
            line=self.line,
            field=None if index is None else index + 1,
            part=None,
            name=catalogue.called(place),
            **words,
        )

    def warn(self, code: str, place: str, **words: object) -> None:
        """Something is doubtful, but the row stands."""
        self.problems.append(warning(self.say(code, place, **words)))


class RowReader:
    """Reads the rows of one file by its profile."""

    def __init__(self, profile: Profile, layout: Layout, *, code: str, piece: str) -> None:
        self.profile = profile
        self.layout = layout
        self.code = code
        self.piece = piece
        self.dates = tuple(profile.dates)
        self.system = _system(profile, code)
        self.items = [
            (f"items.{item}", cell, self._reader(item, cell))
            for item, cell in profile.items.items()
            if f"items.{item}" in layout.places
        ]

    def _reader(self, item: str, cell: Cell) -> cells.Reader:
        shape = catalogue.items()[item]
        return cells.Reader(shape, cell.codes, self.profile.maps.get(cell.codes), cell.unit)

    def read(self, one: Record | Problem) -> Iterator[Item | Problem]:
        """What one record gives: an Item, or the Problem for which it fell out."""
        if isinstance(one, Problem):
            yield one
            return
        row = Row(one, self.layout)
        try:
            yield self._item(row)
        except Fallen as fallen:
            yield fallen.problem

    def _item(self, row: Row) -> Item:
        try:
            number = self._number(row)
        except Fallen as fallen:
            if heard := self._heard(row, fallen.problem):
                return heard
            raise
        hidden = self._flag(row, "not_disclosed", self.profile.not_disclosed, unknown=True)
        identity = self._identity(row, number, hidden)
        try:
            return self._said(row, identity)
        except Fallen as fallen:
            if not hidden:
                raise
            # The row is of no use, but what it hides must be hidden: an Item that becomes nothing else.
            key = _key("not-disclosed", number)
            problems = (*row.problems, warning(fallen.problem))
            return Item(key, identity, {"form": "nothing"}, row.line, self.piece, problems=problems)

    def _heard(self, row: Row, why: Problem) -> Item | None:
        """A row of which nothing is taken but its 不開示, where the number of its person can be read, or made whole."""
        flag, width = self.profile.not_disclosed, self.profile.person.number.width
        if flag is None or row.get("not_disclosed") not in flag.yes or self._is_foreign(row.get("person.organization")):
            return None
        number = row.get("person.number")
        if width and number.isascii() and number.isdigit():
            number = number.zfill(width)
        if not number or (width and len(number) != width) or (is_my_number(number) and width != 12):
            return None
        key, identity = _key("not-disclosed", number), self._identity(row, number, True)
        return Item(key, identity, {"form": "nothing"}, row.line, self.piece, problems=(why,))

    def _is_foreign(self, organization: str) -> bool:
        return len(self.code) == MUNICIPALITY and organization != self.code and is_municipality(organization)

    def _number(self, row: Row) -> str:
        """The local number, of the width the profile says, from the sender's own register."""
        if len(row.fields) != self.layout.width:
            raise Fallen(say("field-count", line=row.line, expected=self.layout.width, found=len(row.fields)))
        self._own(row)
        number = row.get("person.number")
        width = self.profile.person.number.width
        if not number:
            raise Fallen(row.say("no-number", "person.number"))
        if width and len(number) != width:
            code = "zeros-lost" if len(number) < width and number.isdigit() else "wrong-width"
            raise Fallen(row.say(code, "person.number", width=width))
        if is_my_number(number) and width != 12:
            row.warn("number-like-my-number", "person.number")
        return number

    def _own(self, row: Row) -> None:
        organization = row.get("person.organization")
        if not organization or organization == self.code or len(self.code) != MUNICIPALITY:
            return  # in a clinic's file it is the town that pays
        if organization.isdigit() and len(organization) < MUNICIPALITY:
            raise Fallen(row.say("zeros-lost", "person.organization", width=MUNICIPALITY))
        if not is_municipality(organization):
            raise Fallen(row.say("bad-municipality", "person.organization"))
        raise Fallen(row.say("not-the-sender", "person.organization"))

    def _flag(self, row: Row, place: str, flag: Flag | None, *, unknown: bool | None) -> bool:
        """`unknown`: what a value counts as that is neither yes nor no; None = the row falls out."""
        if flag is None:
            return False
        value = row.get(place)
        if value in flag.yes:
            return True
        if value in flag.no:
            return False
        if unknown is None:
            raise Fallen(row.say("unknown-correction", place))
        row.warn("unknown-flag", place)
        return unknown

    def _identity(self, row: Row, number: str, hidden: bool) -> Identity:
        name, kana = row.get("person.name"), row.get("person.kana")
        if unprintable(name) or unprintable(kana):
            row.warn("name-unprintable", "person.name")
        birth = day(row.get("person.birth_date"), self.dates)
        if birth.fault:
            row.warn(birth.fault, "person.birth_date")
        sex, gender = row.get("person.sex"), ""
        if sex:
            gender = self.profile.sexes.get(sex, "")
            if not gender:
                row.warn("unknown-sex", "person.sex")
        return Identity(self.system, number, name, kana, birth.text, gender, hidden)

    def _said(self, row: Row, identity: Identity) -> Item:
        deleted = self._flag(row, "correction", self.profile.correction, unknown=None)
        attended = self.profile.attended
        if attended and not self._flag(row, "attended", attended, unknown=True):
            raise Fallen(row.say("not-attended", "attended"))
        on = day(row.get("event.date"), self.dates)
        if on.fault or not on.text:
            raise Fallen(row.say(on.fault or "no-date", "event.date"))
        self._check_birth(row, identity, on)
        content = self._content(row, identity, on)
        return Item(
            key=self._key(row, identity, content), identity=identity, content=content, line=row.line,
            piece=self.piece, said_at=self._said_at(row), deleted=deleted, problems=tuple(row.problems),
        )  # fmt: skip

    def _check_birth(self, row: Row, identity: Identity, on: Day) -> None:
        if len(identity.birth_date) == len(on.text) == 10 and on.text < identity.birth_date:
            raise Fallen(row.say("before-birth", "event.date"))

    def _said_at(self, row: Row) -> str:
        raw = row.get("event.said_at")
        text = cells.moment(raw, self.dates) if raw else ""
        if raw and not text:
            row.warn("bad-said-at", "event.said_at")
        return text

    def _key(self, row: Row, identity: Identity, content: dict[str, Any]) -> str:
        words = {"date": content["on"], "stage": content.get("stage", "")}
        if vaccine := content.get("vaccine"):
            words |= {"vaccine": vaccine["local"], "dose": str(vaccine.get("dose", ""))}
        asked = self.profile.key or (["vaccine", "dose", "date"] if vaccine else ["stage", "date"])
        parts = [words.get(name, "") if name in KEY_WORDS else self._keyed(row, name) for name in asked]
        return _key(self.profile.form, identity.value, *parts)

    def _keyed(self, row: Row, name: str) -> str:
        return row.fields[self.layout.keyed[name]].strip(_SPACES)

    # -- what it says -------------------------------------------------------------------------------

    def _content(self, row: Row, identity: Identity, on: Day) -> dict[str, Any]:
        content: dict[str, Any] = {"form": self.profile.form, "profile": self.profile.id, "on": on.text}
        for name, place in (("facility_code", "event.facility_code"), ("facility", "event.facility"),
                            ("doctor", "event.doctor")):  # fmt: skip
            if text := row.get(place):
                content[name] = text
        if self.profile.vaccine:
            content["vaccine"] = self._vaccine(row)
        else:
            if stage := self._stage(row):
                content["stage"] = stage
            content["items"] = self._entries(row, identity, on)
            if self.profile.form == "infant-checkup":
                self._ages(row, identity, on, content)
        if free := self._free(row):
            content["free"] = free
        return content

    def _entries(self, row: Row, identity: Identity, on: Day) -> list[cells.Entry]:
        found = []
        for place, cell, reader in self.items:
            raw = row.get(place)
            text = row.get(f"{place}.text") if cell.text else ""
            if not raw and not text:
                continue
            index = self.layout.places[place] + 1
            where = cells.Place(row.line, index, place, on.text, identity.birth_date, self.dates)
            entry = self._entry(row, raw, cell, reader, where) if raw else {"item": reader.shape.id}
            if text:
                entry["text"] = text
            found.append(entry)
        return found

    def _entry(self, row: Row, raw: str, cell: Cell, reader: cells.Reader, where: cells.Place) -> cells.Entry:
        if cell.days and (days := row.get(f"{where.name}.days")):
            reader = cells.Reader(reader.shape, reader.map_name, reader.map, reader.unit, days)
        entry = cells.read(raw, reader, where, row.problems)
        if cell.date and (own := row.get(f"{where.name}.date")):
            found = day(own, self.dates)
            if found.fault:
                row.warn(found.fault, f"{where.name}.date")
            elif found.text:
                entry["on"] = found.text
        return entry

    def _stage(self, row: Row) -> str:
        """The kind of checkup: of the whole file, or by a column with a map of its own."""
        if self.profile.stage or self.profile.event.stage is None:
            return self.profile.stage
        stage = self.profile.maps["stages"].codes.get(row.get("event.stage"), "")
        if not stage:
            raise Fallen(row.say("unknown-stage", "event.stage"))
        return stage

    def _ages(self, row: Row, identity: Identity, on: Day, content: dict[str, Any]) -> None:
        """The months of age as computed, beside those given; both are kept."""
        born, kept = Day(identity.birth_date).whole, on.whole
        if kept is None:
            return
        year = kept.year - (kept.month < 4)
        if (given := _given(content, "hdr.fy")) is not None and given != year:
            row.warn("fiscal-year-differs", "items.hdr.fy")
        if born is None:
            return
        months = months_between(born, kept)
        if (given := _given(content, "hdr.months")) is not None and given != months:
            row.warn("months-differ", "items.hdr.months")
        content["items"].append({"item": "hdr.months.computed", "value": str(months)})

    def _vaccine(self, row: Row) -> dict[str, Any]:
        asked = self.profile.vaccine
        assert asked is not None  # the form has one
        local = row.get("vaccine.vaccine")
        if not local:
            raise Fallen(row.say("no-vaccine", "vaccine.vaccine"))
        found: dict[str, Any] = {"local": local}
        id, dose = self._meant(local, found)
        if not id:
            row.warn("unmapped-vaccine", "vaccine.vaccine")
        else:
            found["id"] = id
        if number := row.get("vaccine.dose"):
            dose = self._dose(row, number, dose)
        if dose:
            found["dose"] = dose
        for name in ("lot", "product", "amount"):
            if text := row.get(f"vaccine.{name}"):
                found[name] = text
        if asked.given and not self._flag(row, "vaccine.given", asked.given, unknown=True):
            found["given"] = False
        return found

    def _meant(self, local: str, found: dict[str, Any]) -> tuple[str, int]:
        asked = self.profile.vaccine
        map = self.profile.maps.get(asked.codes) if asked else None
        if asked is None or map is None:
            return catalogue.vaccines_by_name().get(catalogue.plain(local), ""), 0
        found["map"] = [asked.codes, map.version]
        id, _, dose = map.codes.get(local, "").partition("/")
        return id, int(dose) if dose else 0

    def _dose(self, row: Row, text: str, mapped: int) -> int:
        number = count(catalogue.plain(text).removeprefix("第").removesuffix("回目").removesuffix("回"))
        if number is None or not 1 <= number <= 20:
            row.warn("bad-dose", "vaccine.dose")
            return mapped
        if mapped and number != mapped:
            row.warn("dose-differs", "vaccine.dose")
        return number

    def _free(self, row: Row) -> list[list[str]]:
        """Free columns, raw: [name, text, who may see it]. What has the form of a 個人番号 is never kept."""
        found = []
        for n, column in enumerate(self.profile.free.columns):
            if text := row.get(f"free.columns[{n}]"):
                found.append([column.names[0] if column.names else str(column.at), text, "sensitive"])
        if self.profile.free.rest != "ignore":
            found += [
                [name, text, self.profile.free.rest]
                for name, index in self.layout.rest
                if (text := row.fields[index].strip(_SPACES))
            ]
        kept = [one for one in found if not is_my_number(one[1])]
        if len(kept) < len(found):
            row.problems.append(say("free-my-number", line=row.line))
        return kept


def _system(profile: Profile, code: str) -> str:
    """Whose numbers they are. One handbook is of a mother and of her child: two persons, so two systems."""
    if profile.person.system == "handbook":
        return f"{systems.HANDBOOK}/{code}/{'mother' if profile.form in ('prenatal', 'postpartum') else 'child'}"
    if len(code) == MUNICIPALITY:
        return f"{systems.PERSON_AT_MUNICIPALITY}/{code}"
    return systems.PATIENT_AT_INSTITUTION + code


def _given(content: dict[str, Any], item: str) -> int | None:
    for entry in content["items"]:
        if entry["item"] == item and (value := count(entry.get("value", ""))) is not None:
            return value
    return None


def _key(*parts: str) -> str:
    return "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)
