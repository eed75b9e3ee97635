"""A folder that is watched: `<folder>/<organisation code>/<kind>[/<profile>]/` takes files, and folders of files.

What lies still for a moment is taken in as one input and moves to `working/<run>/`; when its run has ended it moves to
`done/<run>/` or `refused/<run>/`, with `report.json` beside it (`report-<random>.json` where the input has that name).
What cannot be taken in at all moves to `refused/` at once. Whoever can write here imports for the organisation: the
folder's own permissions decide who that is. They may put anything here, so no link is followed, only plain files are
read, and what goes wrong with one input stops no other.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from consent.models import Organization
from integrations import folders, taking
from integrations.base import feeds
from integrations.items import Feed
from integrations.models import ImportRun
from integrations.wording import say
from phr.records.gateway import Forbidden, Refused

STILL = 10.0  # seconds since the last change of a file before it is taken
WORKING, DONE, REFUSED = "working", "done", "refused"
_OURS = frozenset({WORKING, DONE, REFUSED})
_ENDED = {ImportRun.State.DONE: DONE, ImportRun.State.REPORTED: DONE}
_OPEN = frozenset({ImportRun.State.ACCEPTED, ImportRun.State.RUNNING, ImportRun.State.PAUSED})
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Box:
    """One folder that takes something: `names` lead to it from the root."""

    root: Path
    office: Organization
    feed: Feed
    profile: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.office.code, self.feed.KIND, self.profile) if name)


def scan(root: Path, *, now: datetime, still: float = STILL) -> int:
    """Take in what has come, and put away what has ended; returns how many inputs moved."""
    moved = 0
    for box in list(_boxes(root)):
        for name in _names(root, *box.names, WORKING):
            moved += _try(box, _put_away, name)
        for name in _names(root, *box.names):
            moved += _try(box, lambda box, name: _taken(box, name, now=now, still=still), name)
    return moved


def _try(box: _Box, deed: Callable[[_Box, str], bool], name: str) -> bool:
    """One input; what the file system says of it is its own matter: a name is somebody's, so the kind of fault only."""
    try:
        return deed(box, name)
    except (OSError, ValueError) as error:
        _log.warning("watched folder of %s, %s: %s", box.office.code, box.feed.KIND, type(error).__name__)
        return False


def _boxes(root: Path) -> Iterator[_Box]:
    """Every folder that takes something; folders of no known organisation or kind take nothing."""
    codes = [name for name in _names(root) if name.isascii()]
    offices = {office.code: office for office in Organization.objects.filter(code__in=codes)}
    for code in codes:
        for kind in _names(root, code) if code in offices else ():
            feed = feeds().get(kind)
            for profile in (sorted(feed.profiles()) or [""]) if feed else ():
                assert feed is not None
                yield _Box(root, offices[code], feed, profile)


def unheard(root: Path) -> list[str]:
    """Where something lies that nothing is taken from: below no known organisation, kind or profile. Paths from the
    root, never the names of files."""
    codes = [name for name in _names(root) if name.isascii()]
    known = set(Organization.objects.filter(code__in=codes).values_list("code", flat=True))
    found = {code for code in _names(root) if code not in known and _names(root, code)}
    for code in known:
        for kind in _names(root, code):
            feed = feeds().get(kind)
            profiles = set(feed.profiles()) if feed else set()
            lying = {name for name in _names(root, code, kind) if not name.startswith(".")} - _OURS
            if feed is None:
                found.add(f"{code}/{kind}" if lying else f"{code}/")  # what has nothing in it may be a file
            elif profiles and lying - profiles:
                found.add(f"{code}/{kind}")
    return sorted(found)


def _names(root: Path, *names: str) -> list[str]:
    """What a folder holds; nothing where it is none, or a link."""
    try:
        with folders.held(root, *names) as at:
            return folders.names(at)
    except OSError:
        return []


def _taken(box: _Box, name: str, *, now: datetime, still: float) -> bool:
    with folders.held(box.root, *box.names) as at:
        if name in _OURS or name.startswith("."):
            return False
        if now.timestamp() - _changed(name, at=at, now=now.timestamp()) < still:
            return False
        if folders.strange(name, at=at):
            _refuse(box, name, [say("not-a-file").as_json()])
            return True
        return _take(box, name, at=at, now=now)


def _take(box: _Box, name: str, *, at: int, now: datetime) -> bool:
    with folders.held(box.root, *box.names, WORKING, make=True):
        pass  # where it could not be put away, it is not taken
    by = taking.caller_for(box.office, client="watched-folder")
    pieces = folders.pieces_at(name, at=at)
    try:
        run = taking.take(box.feed, pieces, organization=box.office, by=by, now=now, profile=box.profile)
    except taking.TooMany:
        return False  # later
    except taking.TooLarge:
        _refuse(box, name, [say("too-large", limit=box.feed.MAX_BYTES).as_json()])
    except (Forbidden, Refused, taking.UnknownProfile):
        _refuse(box, name, [say("not-allowed").as_json()])
    else:
        _move(box, name, (), (WORKING, str(run.pk)))
    return True


def _put_away(box: _Box, name: str) -> bool:
    """Move an input whose run has ended, with its report."""
    id = UUID(name)
    run = ImportRun.objects.filter(
        pk=id, organization=box.office, kind=box.feed.KIND, profile=box.profile, subject=None
    ).first()
    if run is not None and run.state in _OPEN:
        return False
    with folders.held(box.root, *box.names, WORKING, name) as at:
        inputs = folders.names(at)
    target = (_ENDED.get(ImportRun.State(run.state), REFUSED) if run else REFUSED, str(uuid4()) if not run else name)
    for one in inputs:
        _move(box, one, (WORKING, name), target)
    with folders.held(box.root, *box.names, WORKING) as at:
        os.rmdir(name, dir_fd=at)
    _report(box, target, _told(run) if run else {"state": "unknown"})
    return True


def _refuse(box: _Box, name: str, problems: list[dict[str, str | int]]) -> None:
    target = (REFUSED, str(uuid4()))
    _move(box, name, (), target)
    _report(box, target, {"state": "refused", "problems": problems})


def _told(run: ImportRun) -> dict[str, Any]:
    return {
        "run": str(run.pk), "state": run.state, "sha256": run.sha256, "items": run.done, "created": run.created,
        "updated": run.updated, "unchanged": run.unchanged, "retracted": run.retracted, "waiting": run.unmatched,
        "refused": run.refused_items, "problems": run.problems,
    }  # fmt: skip


def _report(box: _Box, target: tuple[str, ...], told: dict[str, Any]) -> None:
    text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    with folders.held(box.root, *box.names, *target, make=True) as at:
        try:
            made = os.open("report.json", _NEW, 0o666, dir_fd=at)
        except FileExistsError:
            made = os.open(f"report-{uuid4()}.json", _NEW, 0o666, dir_fd=at)
        with os.fdopen(made, "w", encoding="utf-8") as file:
            file.write(text)


def _move(box: _Box, name: str, source: tuple[str, ...], target: tuple[str, ...]) -> None:
    """From one folder of the box into another of it; a link moves as what it is."""
    with (
        folders.held(box.root, *box.names, *source) as here,
        folders.held(box.root, *box.names, *target, make=True) as there,
    ):
        os.rename(name, name, src_dir_fd=here, dst_dir_fd=there)


def _changed(name: str, *, at: int, now: float) -> float:
    """When it, or anything below it, last changed (seconds). Raises OSError."""
    times = [_time(os.stat(name, dir_fd=at, follow_symlinks=False), now)]
    if folders.is_folder(name, at=at):
        for _, below, files, found in os.fwalk(name, dir_fd=at):
            times += [_time(os.stat(one, dir_fd=found, follow_symlinks=False), now) for one in (*below, *files)]
    return max(times)


def _time(told: os.stat_result, now: float) -> float:
    """What its writer says; where that is to come, what this machine says."""
    return told.st_mtime if told.st_mtime <= now else told.st_ctime
