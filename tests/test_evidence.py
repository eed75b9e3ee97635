"""The evidence of the duties: its table, which tests it takes, and the one spelling of its marks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from phr.trust import assessing
from phr.trust.duties import duties

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
MARK = re.compile(r"mark\.(IT|G)\b(?:\(([^()]*)\))?")
PLAIN = ("-n", "0", "-p", "no:django", "-p", "no:cacheprovider")
CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from tests.evidence import Evidence

def pytest_configure(config):
    for name in ("IT(number): a duty", "G(number): a scenario", "long: takes minutes"):
        config.addinivalue_line("markers", name)
    config.pluginmanager.register(Evidence())
"""
TESTS = """
import pytest

@pytest.mark.IT("11")
@pytest.mark.parametrize("n", range(2))
def test_holds(n): pass

@pytest.mark.IT("12")
@pytest.mark.G("07")
def test_fails(): assert False

@pytest.mark.long
@pytest.mark.IT("13")
def test_long(): pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_table(pytester: pytest.Pytester, pytestconfig: pytest.Config, workers: str) -> None:
    pytester.makeconftest(CONFTEST.format(root=str(pytestconfig.rootpath)))
    pytester.makepyfile(TESTS)
    out = pytester.runpytest_subprocess("-m", "IT", *PLAIN, "-n", workers).stdout
    out.re_match_lines_random(
        [r"IT-11 .* 2  passed", r"IT-12 .* 1  failed", r"IT-13 .* 0  not run", r"\d+ duties: 1 failed, \d+ not run, 1 "]
    )
    assert "G-07" not in out.str()


def test_the_table_of_a_long_run_and_none_unasked(pytester: pytest.Pytester, pytestconfig: pytest.Config) -> None:
    pytester.makeconftest(CONFTEST.format(root=str(pytestconfig.rootpath)))
    pytester.makepyfile(TESTS)
    out = pytester.runpytest_subprocess("-m", "IT and long", *PLAIN).stdout
    out.re_match_lines_random([r"IT-13 .* 1  passed"])
    assert "duties:" not in pytester.runpytest_subprocess(*PLAIN).stdout.str()


@pytest.mark.IT("31")
def test_every_duty_is_proved() -> None:
    proved = assessing.proofs(HERE)
    assert [id for id in duties() if id not in proved] == []


def test_marks_have_one_spelling() -> None:
    """Two digits in double quotes, of a duty there is."""
    known = {f'{id.split("-")[0]}("{id.split("-")[1]}")' for id in duties()}
    quoting = {"test_self_assessment.py", "test_evidence.py"}
    wrong = [
        f"{file.name}: {kind}({told})"
        for file in sorted(HERE.rglob("test_*.py"))
        if file.name not in quoting
        for kind, told in MARK.findall(file.read_text(encoding="utf-8"))
        for one in told.split(",")
        if f"{kind}({one.strip()})" not in known
    ]
    assert wrong == []
