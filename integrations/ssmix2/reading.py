"""One message, from a file of the storage or from the wire → one Item. Pure.

What contradicts itself is set aside with its reason, whole: the path against the name, the name against PID-3, MSH-9
and the care date, segments that belong to nothing, and what looks cut off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from integrations.items import Identity, Item
from integrations.problems import Problem, Unreadable
from integrations.ssmix2 import files, kinds
from integrations.ssmix2.kinds import Kind
from integrations.ssmix2.message import Segment, Value
from integrations.ssmix2.parse import Message, parse
from integrations.ssmix2.tables import GENDER
from integrations.ssmix2.when import date_of, said_at
from integrations.ssmix2.wording import say
from phr.records import systems

# What the mapping reads. The rest stays with the sender, demographics among it: they are compared, never stored.
USED = frozenset({
    "EVN", "PV1", "PV2", "OBX", "AL1", "IN1", "IAM", "PRB", "ZPR", "ORC", "RXE", "TQ1", "RXR", "RXC", "RXA", "SPM",
    "OBR",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """How a source is to be read. `code`: the sender's 医療機関コード (10 digits), which no message carries reliably.

    `leading_zeros`: whether PID-3 and the file name may differ in zeros at the front (profile `leading-zeros`).
    """

    code: str
    leading_zeros: bool = False

    @property
    def system(self) -> str:
        return systems.PATIENT_AT_INSTITUTION + self.code


def of_file(path: str, data: bytes, source: Source) -> Item | None:
    """The Item of one file of the storage; None: superseded (condition flag 2), kept by the hospital as history.

    Raises Unreadable: it is to be set aside.
    """
    name = files.name_of(path)
    if name is None:
        raise Unreadable([say("not-a-message")])
    if not files.in_its_folder(path, name):
        raise Unreadable([say("wrong-folder", file=name.shown)])
    if not said_at(f"{name.at[:14]}.{name.at[14:]}") or (name.date != "-" and not _is_date(name.date)):
        raise Unreadable([say("bad-date", file=name.shown)])
    if name.flag == files.SUPERSEDED:
        return None
    try:
        return _of_named(name, parse(data, ended=True), source)
    except Unreadable as error:
        reasons = error.problems
        if all(file_is_named(problem, name) for problem in reasons):
            raise
        raise Unreadable([say("quarantined", file=name.shown), *reasons]) from None


def file_is_named(problem: Problem, name: files.Name) -> bool:
    return name.shown in problem.en


def _of_named(name: files.Name, message: Message, source: Source) -> Item:
    kind = next((k for k in kinds.kinds_of(message) if k.type == name.type), None)
    if kind is None:
        raise Unreadable([say("other-type", file=name.shown)])
    pid = _pid(message)
    if not _same_number(_number(pid), name.pid, source):
        raise Unreadable([say("other-patient", file=name.shown)])
    days = kinds.care_dates(message, kind)
    if days and name.date not in days:
        raise Unreadable([say("other-date", file=name.shown)])
    item = _item(message, kind, source, number=name.pid, date=name.date, order=name.order, at=name.at, dept=name.dept)
    return _withdrawn(item, kind) if name.flag == files.DELETED else item


def of_message(data: bytes, source: Source) -> Item:
    """The Item of one message that came alone. Raises Unreadable."""
    return of_parsed(parse(data), source)


def of_parsed(message: Message, source: Source) -> Item:
    """The same for a message that was read already. Raises Unreadable."""
    kind = kinds.kind_of(message)
    if kind is None:
        raise Unreadable([say("unsupported", line=1, field=9)])
    at = said_at(message.header[7](1))
    if not at:
        raise Unreadable([say("no-date", line=1, field=7)])
    days = kinds.care_dates(message, kind)
    day = "-" if kind.care_date is None else days[0] if days else _other_day(message, at)
    number = _number(_pid(message))
    return _item(
        message, kind, source, number=number, date=day, order=_order(message), at=at, dept=_department(message)
    )


def _item(message: Message, kind: Kind, source: Source, **said: str) -> Item:
    """`said`: number, date, order, at, dept: from the file's name or, on the wire, from the message."""
    _check(message, kind)
    stay = _stay(message, kind)
    content: dict[str, Any] = {
        "type": kind.type,
        "event": message.header[9](2),
        **{key: said[key] for key in ("date", "order", "dept")},
        "admitted": _admitted(message) if stay else "",
        "by": message.by.written(),
        "lines": [[s.line, message.by.field.join(s.fields)] for s in message.segments if s.name in USED],
    }
    return Item(
        key=key_of(kind, said, stay),
        identity=_identity(_pid(message), said["number"], source),
        content=content,
        line=1,
        said_at=said["at"],
        deleted=kind.type == "ADT-00" and kind.undoes,
        problems=message.problems,
    )


def key_of(kind: Kind, said: dict[str, str], stay: str) -> str:
    """What stays the same when the source corrects it: patient, care date, data type, order number.

    All events of one inpatient stay have one key, patient and day of admission, since they tell of one Encounter. An
    outpatient reception has no order number: the department tells two on one day apart.
    """
    number = said["number"]
    if stay:
        return f"{number}|{stay}|STAY|"
    key = f"{number}|{said['date']}|{kind.type}|{said['order']}"
    return f"{key}|{said['dept']}" if kind.type == "ADT-12" else key


def _withdrawn(item: Item, kind: Kind) -> Item:
    """Condition flag 0: an event of a stay is undone, everything else is gone."""
    undone = {**item.content, "event": kinds.UNDOING.get(kind.type, item.content["event"])}
    if kind.type in kinds.STAY:
        return replace(item, content=undone, deleted=not item.key.endswith("|STAY|"))
    return replace(item, deleted=True)


def _stay(message: Message, kind: Kind) -> str:
    """The day the stay began, `YYYYMMDD`; "" when the event is about no stay, or about one that it does not name."""
    if kind.type not in kinds.STAY:
        return ""
    planned = kind.type == "ADT-21"
    segment = message.first("PV2" if planned else "PV1")
    day = date_of(segment[8 if planned else 44](1)).replace("-", "") if segment else ""
    return day if len(day) == 8 else ""


def _admitted(message: Message) -> str:
    """PV1-44 as it was said."""
    visit = message.first("PV1")
    return visit[44](1) if visit else ""


def _check(message: Message, kind: Kind) -> None:
    core = kinds.CORE.get(kind.type)
    if core and message.first(core) is None:
        raise Unreadable([say("nothing-said", segment=core)])
    found = [say("out-of-order", line=s.line, segment=s.name) for s in kinds.misplaced(message, kind.type)]
    if found:
        raise Unreadable(found)


def _pid(message: Message) -> Segment:
    people = [pid for pid in message.all("PID") if len(pid.fields) > 1]
    if not people:
        raise Unreadable([say("no-patient")])
    if len({_number(pid) for pid in people}) > 1:
        raise Unreadable([say("several-patients", line=people[1].line)])
    return people[0]


def _number(pid: Segment) -> str:
    """The patient's number: the repetition marked PI, else the first."""
    values = list(pid.all(3))
    own = [value for value in values if value(5) == "PI"] or values
    number = own[0](1) if own else ""
    if not number or "|" in number or len(number) > 64:
        raise Unreadable([say("no-number", line=pid.line, field=3)])
    return number


def _same_number(one: str, other: str, source: Source) -> bool:
    return one == other or (source.leading_zeros and one.lstrip("0") == other.lstrip("0") != "")


def _identity(pid: Segment, number: str, source: Source) -> Identity:
    names = list(pid.all(5))
    written = next((n for n in names if n(8) in ("I", "")), names[0] if names else None)
    sound = next((n for n in names if n(8) == "P"), None)
    return Identity(
        system=source.system,
        value=number,
        name=_name(written),
        kana=_name(sound),
        birth_date=date_of(pid[7](1)[:8]),
        gender=GENDER.get(pid[8].text(), ""),
    )


def _name(value: Value | None) -> str:
    return " ".join(part for part in (value(1), value(2)) if part) if value else ""


def _order(message: Message) -> str:
    """依頼者オーダ番号 of the first order, as the storage writes it into its names."""
    if message.header[9](1) in ("ADT", "PPR"):
        return files.NO_ORDER
    numbers = [s[2](1) for name in ("ORC", "OBR") for s in message.all(name)]
    return next((number for number in numbers if number), files.NO_ORDER)


def _department(message: Message) -> str:
    visit, order = message.first("PV1"), message.first("ORC")
    found = (visit[10](1) if visit else "") or (order[17](1) if order else "")
    ward = visit[3] if visit else None
    return found or (ward(1) if ward and ward(6) == "C" else "") or "-"


def _other_day(message: Message, at: str) -> str:
    """The care date of a message whose own field is empty: what was examined or ordered, else when it was said."""
    for name, field in (("OBR", 7), ("ORC", 9)):
        for segment in message.all(name):
            if len(day := date_of(segment[field](1))) == 10:
                return day.replace("-", "")
    return at[:8]


def _is_date(text: str) -> bool:
    try:
        return bool(date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:]}"))
    except ValueError:
        return False
