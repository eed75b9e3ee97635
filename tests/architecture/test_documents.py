"""Documents that fail the build: what they name exists, what exists is named, and the commands are real."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError

from consent.audit import AuditUnavailable
from phr.fhir import outcome
from phr.settings import database  # noqa: TID251 - its reader of addresses
from tests.architecture import project

DOCUMENTS = ["README.md", "deploy/README.md"]
PATH = re.compile(r"`((?:\.ci|consent|phr|integrations|tests|deploy)/[\w./-]*|[\w-]+\.(?:py|md|toml)|LICENSE)`")
UNNAMED = {"migrations", "management", "templates", "static", "locale", "data", "samples", "__pycache__"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_a_document_names_exists(document: str) -> None:
    named = set(PATH.findall(project.text(document)))
    assert named
    assert not [path for path in named if not (project.ROOT / path).exists()]


def test_every_image_of_the_readme_exists() -> None:
    images = re.findall(r"!\[[^]]*]\(([^)]+)\)", project.text("README.md"))
    assert images
    assert all((project.ROOT / image).stat().st_size > 5_000 for image in images)


def test_every_folder_is_on_the_map() -> None:
    readme = project.text("README.md")
    packages = {path.parent for path in project.sources() if path.name == "__init__.py"}
    wanted = {folder for folder in packages if not UNNAMED.intersection(folder.parts)} | {Path("tests"), Path("deploy")}
    assert not sorted(str(folder) for folder in wanted if f"`{folder}/`" not in readme)


def test_the_first_screen_says_it_in_both_languages() -> None:
    first = project.text("README.md").splitlines()[:12]
    assert any(re.search(r"[ぁ-ん]", line) for line in first)
    assert "One health record" in "\n".join(first)


def _traces() -> list[list[str]]:
    """The files of each line that follows a request."""
    told = project.text("README.md").partition("## Follow one request\n")[2].partition("\n## ")[0]
    return [re.findall(r"`([^`]+\.py)`", line) for line in told.splitlines() if "→" in line]


def _named_in(file: str) -> set[str]:
    """Every module a file imports, and every one it names in a string (as middleware names URLs)."""
    found = set()
    for node in ast.walk(ast.parse(project.text(file))):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(module), names=names):
                found |= {module} | {f"{module}.{name.name}" for name in names}
            case ast.Constant(value=str(text)):
                found.add(text)
    return found


def test_the_request_that_is_followed_goes_that_way() -> None:
    asked, seen = _traces()
    assert f"{asked[0].removesuffix('.py').replace('/', '.')}.entrance" in settings.MIDDLEWARE
    assert seen[0] in asked
    assert asked[-1].startswith("phr/smart/")
    assert seen[-1] == "consent/decide.py"


@pytest.mark.parametrize(("file", "next_"), [pair for trace in _traces() for pair in itertools.pairwise(trace)])
def test_each_file_on_the_way_leads_to_the_next(file: str, next_: str) -> None:
    assert next_.removesuffix(".py").replace("/", ".") in _named_in(file)


def _commands() -> list[str]:
    blocks = project.code_blocks(project.text("README.md"), "sh")
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [part.strip() for line in lines if line for part in line.split("&&")]


@pytest.mark.parametrize("line", _commands())
def test_every_command_of_the_readme_is_real(line: str) -> None:
    """Its program exists and takes these arguments. The demo, the longest, is run by tests/demo."""
    words = shlex.split(line)
    match words:
        case ["uv", "run", "manage.py", name, *arguments]:
            _parse(name, arguments)
        case ["uv", "run", "python", "-m", module]:
            assert find_spec(module) or find_spec(f"{module}.__main__")
        case (
            ["uv", "run", "pytest"]
            | ["uv", "run", "pytest", "-m", "long" | "spec" | "IT" | "G"]
            | ["python3", "-m", "pip", "install", "uv"]
        ):
            pass
        case _:
            pytest.fail(f"the README has a command that no test knows: {line}")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_manage_command_named_anywhere_exists(document: str) -> None:
    named = set(re.findall(r"manage\.py (\w+)", project.text(document)))
    assert not named - set(get_commands())


def _parse(name: str, arguments: list[str]) -> None:
    command = load_command_class(get_commands()[name], name)
    try:
        command.create_parser("manage.py", name).parse_args(arguments)
    except (CommandError, SystemExit) as error:
        pytest.fail(f"manage.py {name} {' '.join(arguments)}: {error}")


READ = re.compile(
    r"\b(?:text|flag|secret|number)\(\s*[\"']([A-Z][A-Z_]+)[\"']|environ(?:\.get\(|\[)\s*[\"']([A-Z][A-Z_]+)[\"']"
)
FOREIGN = {"DJANGO_SETTINGS_MODULE"}


def _read() -> set[str]:
    found = (m for path in [*project.sources(), Path("manage.py")] for m in READ.findall(project.text(path)))
    return {a or b for a, b in found} - FOREIGN


def _listed() -> set[str]:
    return set(re.findall(r"^([A-Z][A-Z_]+)=", project.text("deploy/env.example"), flags=re.MULTILINE))


def test_every_setting_is_in_the_example_and_no_other() -> None:
    assert _read() == _listed()


def test_every_setting_is_explained() -> None:
    lines = project.text("deploy/env.example").splitlines()
    assert not [
        line for before, line in itertools.pairwise(lines) if "=" in line.split(" ")[0] and not before.startswith("#")
    ]


@pytest.mark.parametrize("path", ["integrations/*/README.md", "consent/README.md"])
def test_the_folders_that_explain_themselves_do(path: str) -> None:
    assert list(project.ROOT.glob(path))


def test_decisions_stand_beside_the_code_they_bind() -> None:
    notes = [path for path in project.files() if "decisions" in path.parts]
    assert notes
    assert all(path.parts[0] in (*project.APPS, "tests", "deploy") and path.suffix == ".md" for path in notes)


def test_the_run_book_bounds_how_long_a_migration_waits() -> None:
    [ending] = re.findall(r"`(\?options=[^`]+)`", project.text("deploy/README.md"))
    assert "-c lock_timeout=4s" in database(f"postgresql://tsumugi@db/tsumugi{ending}")["OPTIONS"]["options"]


def test_the_run_book_quotes_the_server() -> None:
    [said] = re.findall(r'503 with "([^"]+)"', project.text("deploy/README.md"))
    assert said in outcome.response(AuditUnavailable()).content.decode()
