"""How far a long run is: percent, resources per second, time left."""

from __future__ import annotations

import time
from typing import TextIO

EVERY = 0.2  # seconds between two drawings on a terminal
EVERY_IN_A_FILE = 10.0


class Progress:
    """Counts families and resources, and draws one line."""

    def __init__(self, total: int, out: TextIO) -> None:
        self.total, self.out = total, out
        self.done = self.resources = self.skipped = 0
        self.began = self.drawn = time.monotonic()
        self.live = out.isatty()

    def step(self, resources: int) -> None:
        """One more family, with that many resources; none: it was there already."""
        self.done += 1
        self.resources += resources
        self.skipped += not resources
        now = time.monotonic()
        if now - self.drawn >= (EVERY if self.live else EVERY_IN_A_FILE) or (self.live and self.done == self.total):
            self.drawn = now
            self.out.write(("\r" if self.live else "") + self.line(now) + ("" if self.live else "\n"))
            self.out.flush()

    def line(self, now: float) -> str:
        spent = max(now - self.began, 1e-9)
        left = int(spent / self.done * (self.total - self.done)) if self.done else 0
        bar = "█" * (20 * self.done // self.total)
        return (
            f"{100 * self.done // self.total:3d}% [{bar:<20}] {self.done:,}/{self.total:,} 家族 families"
            f"  {self.resources / spent:,.0f} resources/s  残り left {left // 60}:{left % 60:02d} "
        )

    def finished(self) -> str:
        """The last word of a run."""
        spent = max(time.monotonic() - self.began, 1e-9)
        end = "\n" if self.live and self.done else ""
        known = f"、既にある家族 already there: {self.skipped:,}" if self.skipped else ""
        return (
            f"{end}{self.done - self.skipped:,} 家族 families, {self.resources:,} resources, {spent:.1f} s,"
            f" {self.resources / spent:,.0f} resources/s{known}"
        )
