"""A folder that is watched: `<folder>/<organisation code>/<kind>[/<profile>]/` takes files, and folders of files.

What lies still for a moment is taken in as one input and moves to `working/<run>/`; when its run has ended it moves to
`done/<run>/` or `refused/<run>/`, with `report.json` beside it. What cannot be taken in at all moves to `refused/` at
once. Whoever can write here imports for the organisation: the folder's own permissions decide who that is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
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


def scan(root: Path, *, now: datetime, still: float = STILL) -> int:
    """Take in what has come, and put away what has ended; returns how many inputs moved."""
    moved = 0
    for office, feed, profile, folder in list(_inboxes(root)):
        moved += sum(_put_away(place) for place in _sorted(folder / WORKING))
        for path in _sorted(folder):
            if path.name in _OURS or path.name.startswith(".") or (path.is_dir() and path.name in feed.profiles()):
                continue
            if now.timestamp() - _changed(path) >= still:
                moved += _take(path, office, feed, profile, now=now)
    return moved


def _inboxes(root: Path) -> Iterator[tuple[Organization, Feed, str, Path]]:
    """Every folder that takes something; folders of no known organisation or kind take nothing."""
    for office_folder in _sorted(root):
        office = Organization.objects.filter(code=office_folder.name).first()
        for kind_folder in _sorted(office_folder) if office else ():
            feed = feeds().get(kind_folder.name)
            if office is None or feed is None or not kind_folder.is_dir():
                continue
            profiles = sorted(feed.profiles())
            if not profiles:
                yield office, feed, "", kind_folder
            yield from ((office, feed, p, kind_folder / p) for p in profiles if (kind_folder / p).is_dir())


def _take(path: Path, office: Organization, feed: Feed, profile: str, *, now: datetime) -> bool:
    by = taking.caller_for(office, client="watched-folder")
    try:
        run = taking.take(feed, folders.pieces([path]), organization=office, by=by, now=now, profile=profile)
    except taking.TooMany:
        return False  # later
    except taking.TooLarge:
        _refuse(path, [say("too-large", limit=feed.MAX_BYTES).as_json()])
    except (Forbidden, Refused, taking.UnknownProfile):
        _refuse(path, [say("not-allowed").as_json()])
    except OSError:
        return False  # somebody took it away again, or it cannot be read yet
    else:
        _move(path, path.parent / WORKING / str(run.pk))
    return True


def _put_away(place: Path) -> bool:
    """Move an input whose run has ended, with its report."""
    try:
        run = ImportRun.objects.filter(pk=UUID(place.name)).first()
    except ValueError:
        return False
    if run is not None and run.state in _OPEN:
        return False
    kind = _ENDED.get(ImportRun.State(run.state), REFUSED) if run else REFUSED
    target = place.parent.parent / kind / place.name
    for path in _sorted(place):
        _move(path, target)
    place.rmdir()
    _report(target, _told(run) if run else {"state": "unknown"})
    return True


def _refuse(path: Path, problems: list[dict[str, str | int]]) -> None:
    target = path.parent / REFUSED / str(uuid4())
    _move(path, target)
    _report(target, {"state": "refused", "problems": problems})


def _told(run: ImportRun) -> dict[str, Any]:
    return {
        "run": str(run.pk), "state": run.state, "sha256": run.sha256, "items": run.done, "created": run.created,
        "updated": run.updated, "unchanged": run.unchanged, "retracted": run.retracted, "waiting": run.unmatched,
        "refused": run.refused_items, "problems": run.problems,
    }  # fmt: skip


def _report(folder: Path, told: dict[str, Any]) -> None:
    (folder / "report.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _move(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.move(path, folder / path.name)


def _sorted(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _changed(path: Path) -> float:
    """When it, or anything below it, last changed (seconds); now and ever for what has gone."""
    try:
        below = path.rglob("*") if path.is_dir() else ()
        return max(file.lstat().st_mtime for file in (path, *below))
    except OSError:
        return float("inf")
