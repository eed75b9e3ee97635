"""The conformance table tells what the tests found, also when they ran in several processes."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from tests.conformance.table import ConformanceTable

def pytest_configure(config):
    config.addinivalue_line("markers", "spec(standard, section, clause): a clause")
    config.pluginmanager.register(ConformanceTable())
"""
TESTS = """
import pytest

@pytest.mark.spec("A 1", "1.1", "holds")
@pytest.mark.parametrize("n", range(3))
def test_holds(n): pass

@pytest.mark.spec("A 1", "1.2", "fails once")
@pytest.mark.parametrize("n", range(2))
def test_fails(n): assert n

@pytest.mark.spec("B 2", "9", "not tried")
def test_skipped(): pytest.skip("no data")

@pytest.mark.spec("B 2", "9", "broken before it began")
def test_broken(nothing_of_this_name): pass

def test_plain(): pass
"""


def test_the_table(pytester: pytest.Pytester, pytestconfig: pytest.Config) -> None:
    pytester.makeconftest(CONFTEST.format(root=str(pytestconfig.rootpath)))
    pytester.makepyfile(TESTS)
    for workers in ("0", "2"):
        out = pytester.runpytest_subprocess(
            "-m", "spec", "-n", workers, "-p", "no:django", "-p", "no:cacheprovider"
        ).stdout
        out.re_match_lines_random(
            [r"A 1 +1\.1 +holds +3  passed", r"A 1 +1\.2 +fails once +2  failed", r"B 2 +9 +not tried +1  skipped",
             r"B 2 +9 +broken before it began +1  failed",
             "4 clauses of 2 specifications: 1 passed, 1 skipped, 2 failed"]
        )  # fmt: skip
        assert "test_plain" not in out.str()


def test_no_table_unless_asked_for(pytester: pytest.Pytester, pytestconfig: pytest.Config) -> None:
    pytester.makeconftest(CONFTEST.format(root=str(pytestconfig.rootpath)))
    pytester.makepyfile(TESTS)
    out = pytester.runpytest_subprocess("-n", "0", "-p", "no:django", "-p", "no:cacheprovider").stdout
    out.no_fnmatch_line("*specifications:*")
