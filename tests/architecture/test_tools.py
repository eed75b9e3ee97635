"""The house rules that tools know: style, types, and the arrows between the folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.architecture import project

BIN = Path(sys.executable).parent


def run(*command: str) -> None:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=project.ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


def test_ruff_finds_nothing() -> None:
    run("ruff", "check", "--no-cache", ".")


def test_the_format_is_ruffs() -> None:
    run("ruff", "format", "--no-cache", "--check", ".")


def test_the_arrows_point_down() -> None:
    run("lint-imports", "--no-cache")


def test_the_types_hold() -> None:
    run("mypy")
