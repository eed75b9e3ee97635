"""One Item on its way to FHIR: what all the mappings of this folder share. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from integrations.ids import resource_id
from integrations.items import About, Item, Mapped
from integrations.problems import Problem
from integrations.ssmix2.codes import JP, Json
from integrations.ssmix2.message import Delimiters, Segment, segment_of
from integrations.ssmix2.when import date_of, date_time
from integrations.ssmix2.wording import say
from phr.records import systems

FACTS = "ssmix2"  # the same message by file, by MLLP and by HTTP is the same fact


@dataclass(slots=True)
class Case:
    """What is said (`segments`), of whom and by whom (`about`), and what has become of it so far."""

    item: Item
    about: About
    segments: Sequence[Segment]
    type: str
    event: str
    made: list[Json] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    parts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, item: Item, about: About) -> Case:
        content = item.content
        by = Delimiters(*content["by"])
        segments = [segment_of(text, line, by) for line, text in content["lines"]]
        return cls(item, about, segments, content["type"], content["event"])

    @property
    def institution(self) -> str:
        return self.about.code

    @property
    def patient(self) -> Json:
        return {"reference": f"Patient/{self.about.subject}"}

    @property
    def sender(self) -> Json:
        """The institution, by its number and name."""
        who: Json = {"type": "Organization", "identifier": {"system": systems.INSTITUTION_10, "value": self.about.code}}
        return who | ({"display": self.about.organization_name} if self.about.organization_name else {})

    @property
    def said_on(self) -> str:
        """The day of 発生日時."""
        at = self.item.said_at
        return f"{at[:4]}-{at[4:6]}-{at[6:8]}"

    def start(self, type_: str, part: str, *, profile: str = "", instance: bool = True) -> Json:
        """A resource with its id, kept in `made`. Parts that are said twice are told apart by their order."""
        count = self.parts[f"{type_}/{part}"] = self.parts.get(f"{type_}/{part}", 0) + 1
        part = part if count == 1 else f"{part}#{count}"
        resource: Json = {
            "resourceType": type_,
            "id": resource_id(type_, self.about.code, FACTS, self.item.key, part),
        }
        if profile:
            resource["meta"] = {"profile": [f"{JP}/{profile}"]}
        if instance:
            resource["identifier"] = [self.instance(part)]
        self.made.append(resource)
        return resource

    def instance(self, part: str) -> Json:
        """患者ID.診療日.種別.オーダ番号.発生日時.連番 (here the part), as one resource is named in its source."""
        said = self.item.content
        names = (self.item.identity.value, said["date"], said["type"], said["order"], self.item.said_at, part)
        return {"system": systems.RESOURCE_INSTANCE, "value": ".".join(names)}

    def drop(self, resource: Json) -> None:
        """Take back a resource that turned out to say too little."""
        self.made.remove(resource)

    def note(self, code: str, segment: Segment, at: int | None = None, **words: Any) -> None:
        """Report something about a field of a segment."""
        self.problems.append(say(code, line=segment.line, field=at, place=f"{segment.name}-{at}", **words))

    def time(self, segment: Segment, at: int, *, only_date: bool = False) -> str:
        """A TS field as dateTime or date; "" with a problem when it says something that is no time."""
        value = segment[at]
        found = (date_of if only_date else date_time)(value(1))
        if value(1) and not found:
            self.note("odd-time", segment, at)
        return found

    def period(self, start: str, end: str) -> Json:
        """A Period; an end before its start is left out."""
        if start and end and end[: len(start)] < start[: len(end)]:
            end = ""
        return ({"start": start} if start else {}) | ({"end": end} if end else {})

    def all(self, *names: str) -> Iterator[Segment]:
        return (segment for segment in self.segments if segment.name in names)

    def first(self, name: str) -> Segment:
        """The first of this name, or an empty one."""
        return next(self.all(name), Segment(name, [name], 1))

    def groups(self, head: str, segments: Sequence[Segment] | None = None) -> Iterator[list[Segment]]:
        """Each segment called `head` with those that follow it, up to the next one."""
        group: list[Segment] = []
        for segment in self.segments if segments is None else segments:
            if segment.name == head:
                if group:
                    yield group
                group = [segment]
            elif group:
                group.append(segment)
        if group:
            yield group

    def mapped(self) -> Mapped:
        return Mapped(self.made, tuple(self.problems))


def only(group: Sequence[Segment], *names: str) -> list[Segment]:
    return [segment for segment in group if segment.name in names]


def one(group: Sequence[Segment], name: str) -> Segment:
    """The first of this name in a group, or an empty one."""
    return next((segment for segment in group if segment.name == name), Segment(name, [name], group[0].line))
