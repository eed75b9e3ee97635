"""A folder for the files of each test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def export_folder(tmp_path: Path, settings: object) -> Path:
    folder = tmp_path / "exports"
    settings.PHR_EXPORT_FOLDER = str(folder)  # type: ignore[attr-defined]
    return folder
