"""What the architecture tests look at: the project's own files, as git knows them."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("consent", "phr", "integrations")  # from the bottom up


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project, relative to its root: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else _walked()
    return tuple(sorted(Path(name) for name in set(names) if name and (ROOT / name).is_file()))


def _walked() -> list[str]:
    """Without git (an unpacked archive): everything but what .gitignore names by folder."""
    ignored = {line.strip("/\n") for line in (ROOT / ".gitignore").read_text().splitlines()} | {".git"}
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [str(path) for path in found if not ignored.intersection(path.parts) and path.suffix != ".pyc"]


def sources() -> list[Path]:
    """The Python files of the three apps and the command line, without migrations."""
    return [path for path in python() if path.parts[0] in APPS and "migrations" not in path.parts]


def python() -> list[Path]:
    return [path for path in files() if path.suffix == ".py"]


def text(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def folders() -> set[Path]:
    """Every folder that holds project files, relative to the root."""
    return {parent for path in files() for parent in path.parents if parent != Path()}


def code_blocks(markdown: str, language: str = "") -> list[str]:
    """The fenced blocks of a document, of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", markdown, flags=re.MULTILINE | re.DOTALL)
