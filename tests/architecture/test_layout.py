"""The shape of the repository: what stands where, how large, and what its text may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

from tests.architecture import project

FOLDERS_AT_THE_TOP = {"consent", "phr", "integrations", "tests", "deploy", ".ci"}
FILES_AT_THE_TOP = {
    "manage.py", "pyproject.toml", "uv.lock", "README.md", "LICENSE", "CHANGELOG.md", ".editorconfig", ".gitignore",
    ".gitattributes", ".dockerignore",
}  # fmt: skip
LONGEST = 400


def test_the_top_level_can_be_taken_in_at_a_glance() -> None:
    tops = {path.parts[0] for path in project.files()}
    assert tops <= FOLDERS_AT_THE_TOP | FILES_AT_THE_TOP


def test_no_source_file_is_longer_than_one_can_hold_in_mind() -> None:
    long = {str(path): n for path in project.python() if (n := len(project.text(path).splitlines())) > LONGEST}
    assert not {path: n for path, n in long.items() if "migrations" not in path}


def test_nothing_is_called_utils() -> None:
    banned = {"utils", "util", "common", "helpers", "helper", "core", "misc"}
    assert not [path for path in project.python() if banned.intersection([*path.parts[:-1], path.stem])]


@pytest.mark.parametrize("app", project.APPS)
def test_there_are_three_apps_and_no_more(app: str) -> None:
    inner = [path for path in project.sources() if path.name == "apps.py" and path.parts[0] == app]
    assert inner == [Path(app) / "apps.py"]


def test_every_connector_is_installed() -> None:
    found = {f"integrations.{path.parts[1]}.connector" for path in project.sources() if path.name == "connector.py"}
    assert found == set(settings.INTEGRATIONS)


# The text speaks of the project alone: no host of a package registry, no folder of one machine.
# (Brackets keep this line from being such a text itself.)
ELSEWHERE = re.compile(
    r"py[p]i\.|python[h]osted|npm[j]s|proxy\.[g]olang|crates\.[i]o"
    r"|(?<![\w./-])/(?:work|root|home|Users)/\w",
    re.IGNORECASE,
)
NOT_OURS = ("tests/golden/", "uv.lock", "LICENSE")


def test_the_text_names_no_registry_and_no_machine() -> None:
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in project.files()
        if path.suffix
        in {".py", ".md", ".toml", ".html", ".css", ".js", ".yml", ".yaml", ".txt", ".example", ".sh", ""}
        and not str(path).startswith(NOT_OURS)
        for number, line in enumerate(project.text(path).splitlines(), 1)
        if ELSEWHERE.search(line)
    ]
    assert not found


CLOCK = re.compile(r"\btimezone\.now\(|\bdate\.today\(|\btime\.time\(|\blocaltime\(\)|\blocaldate\(\)")
# Doors may ask what time it is: they hand it down as `now`.
DOORS = re.compile(
    r"/((\w+_)?views|(\w+_)?tasks|door|(\w+_)?checks|admin|caller|middleware|desk|pages|health)\.py$"
    r"|/views/|/pages/|/web/|/management/|/municipal/|/embedded/|/fhir/|/api/|/smart/"
)


def test_only_doors_look_at_the_clock() -> None:
    deeds = [path for path in project.sources() if not DOORS.search(f"/{path}")]
    assert not [str(path) for path in deeds if CLOCK.search(project.text(path))]
