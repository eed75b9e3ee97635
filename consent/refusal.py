"""What every deed of the trust raises when it will not be done."""

from __future__ import annotations

from enum import StrEnum


class Because(StrEnum):
    """Which kind of no. Doors choose their answer by it."""

    INVALID = "invalid"  # what was asked makes no sense as it stands: the place is named
    FORBIDDEN = "forbidden"  # who asks may not
    ABSENT = "absent"  # there is no such thing for who asks: hidden and nonexistent alike
    CONFLICT = "conflict"  # it may be asked, but not in the present state


class Refusal(Exception):
    """A deed that is not done, and nothing written. `why`: Japanese, then English; `place`: the field at fault."""

    because = Because.INVALID

    def __init__(self, why: str, *, place: str = "", because: Because | None = None) -> None:
        super().__init__(why)
        self.why, self.place = why, place
        self.because = because or type(self).because


class Absent(Refusal):
    """Nothing there, or nothing there for you."""

    because = Because.ABSENT

    def __init__(self, why: str = "見つかりません / not found", *, place: str = "") -> None:
        super().__init__(why, place=place)
