"""Names and folders of the standardised storage. Pure.

`<root>/<id[0:3]>/<id[3:6]>/<id>/<care date or ->/<data type>/<id>_<date>_<type>_<order>_<発生日時>_<dept>_<flag>`.
Source: SS-MIX2 guideline 1.2h, 標準化ストレージ 物理構造.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NO_ORDER = "9" * 15
VALID, DELETED, SUPERSEDED = "1", "0", "2"
_NAME = re.compile(
    r"(?P<pid>[^_/]{1,64})_(?P<date>\d{8}|-)_(?P<type>[A-Z]{3}(?:-\d\d)?)_(?P<order>[^_/]{1,15})"
    r"_(?P<at>\d{17})_(?P<dept>[^_/]{1,20})_(?P<flag>[012])\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Name:
    """What a file's name says. `date` and `dept` are `-` when there is none; `at` has 17 digits."""

    pid: str
    date: str
    type: str
    order: str
    at: str
    dept: str
    flag: str

    @property
    def shown(self) -> str:
        """The name without the patient's number: what a hospital can find the file by, and nobody a person."""
        return f"*_{self.date}_{self.type}_{self.order}_{self.at}_{self.dept}_{self.flag}"

    def folders(self) -> list[str]:
        return [self.pid[:3], self.pid[3:6], self.pid, self.date, self.type]


def name_of(path: str) -> Name | None:
    """What the last part of a path says; None = no file of the storage."""
    match = _NAME.match(path.rsplit("/", 1)[-1])
    return Name(**match.groupdict()) if match else None


def in_its_folder(path: str, name: Name) -> bool:
    """Whether the folders above agree with the name, as far as the path shows them."""
    above = path.split("/")[:-1][-5:]
    return above == name.folders()[5 - len(above) :]
