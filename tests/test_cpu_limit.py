"""The limit of CPU time: heavy quick tests and fixtures fail, marked ones and sleepers do not."""

import subprocess
import sys

import pytest

from helpers.cpu_limit import CpuLimit, cpu_seconds

pytest_plugins = ["pytester"]

LIMIT = 0.3
BURN = f"""
import subprocess, sys, time, pytest

def burn():
    start = time.process_time()
    while time.process_time() - start < {2 * LIMIT}:
        pass

"""


@pytest.fixture
def run(pytester):
    """Run tests under a limit of 0.3 s; each ``burn()`` takes twice as much."""

    def run(source: str) -> pytest.RunResult:
        pytester.makeini("[pytest]\nmarkers = slow\n  faults\n")
        pytester.makepyfile(BURN + source)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", plugins=[CpuLimit(LIMIT)])

    return run


def test_a_heavy_test_fails_and_the_line_names_it(run):
    result = run("def test_heavy(): burn()\ndef test_light(): pass\n")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["call of *::test_heavy: expected at most 0.3 s of CPU time in the quick suite, got *"]
    )


@pytest.mark.parametrize("scope", ["function", "module"])
def test_a_heavy_fixture_is_an_error_of_the_test_that_makes_it(run, scope):
    result = run(
        f"@pytest.fixture(scope={scope!r})\ndef heavy(): burn(), burn()\n"
        "def test_first(heavy): pass\n"
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["set-up of *::test_first: expected at most 0.9 s *"])


@pytest.mark.parametrize("mark", ["slow", "faults"])
def test_marked_tests_are_not_limited(run, mark):
    run(f"@pytest.mark.{mark}\ndef test_heavy(): burn()\n").assert_outcomes(passed=1)


def test_waiting_costs_nothing(run):
    run(f"def test_waits(): time.sleep({2 * LIMIT})\n").assert_outcomes(passed=1)


def test_an_error_of_the_test_itself_is_shown_first(run):
    result = run("def test_wrong():\n    burn()\n    raise ValueError('its own')\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ValueError: its own"])


def test_child_processes_count():
    start = cpu_seconds()
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert 0.4 < cpu_seconds() - start < 5
