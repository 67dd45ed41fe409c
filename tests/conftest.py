"""Set-up of all tests: one thread, few hypothesis examples, a limit of CPU time.

The networks are tiny, and with one thread results do not depend on the machine.
"""

import gc
import importlib
import os
from collections.abc import Generator
from functools import cache
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from hypothesis import settings

from helpers.cpu_limit import CpuLimit
from helpers.examples import PROFILES

for name, options in PROFILES.items():
    settings.register_profile(name, **options)
settings.load_profile("quick")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(CpuLimit())
    # nothing of the 600,000 objects that the imports make is garbage
    gc.disable()


def pytest_collection_finish() -> None:
    # objects are not frozen: the tracer of bounds looks for tensors among all that are tracked
    gc.enable()


# tests of these packages start processes and train, so their files take longest
_LONGEST = ("distributed", "faults", "tasks", "engine", "runs", "cli", "callbacks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the long files first: a long one at the end would leave one core without work."""
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.parent.name, len(order)))


@pytest.fixture(autouse=True, scope="session")
def _no_wait_for_the_disk() -> Generator[None]:
    """No test cuts the power, so none needs the milliseconds in which a file reaches the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def _parsers_once() -> Generator[None]:
    """Make the parser of each command once: that takes half the time of a command's refusal."""
    cli, methods = (importlib.import_module(f"sngan.{name}") for name in ("cli.main", "methods"))

    @cache
    def made(name: str, _: tuple[str, ...]) -> Any:
        return parser_of(name)

    parser_of = cli.parser_of
    with pytest.MonkeyPatch.context() as patch:
        # the help of a parser lists the methods
        patch.setattr(cli, "parser_of", lambda name: made(name, tuple(methods.METHODS)))
        yield


@pytest.fixture
def quick_collection() -> Generator[None]:
    """Let ``gc.collect()`` look at what this test makes, and not at a million older objects."""
    gc.freeze()
    yield
    gc.unfreeze()


# tests of these packages train, and look at other things than pictures
TRAINING = ("callbacks", "cli", "data", "distributed", "engine", "methods", "runs", "tasks")


@pytest.fixture
def real_pictures() -> None:
    """Draw for this test what users see."""


@pytest.fixture(autouse=True)
def cheap_pictures(request: pytest.FixtureRequest) -> Generator[None]:
    is_real = "real_pictures" in request.fixturenames
    if is_real or request.path.parent.name not in TRAINING:
        yield
        return
    # this import takes seconds that tests of other packages should not pay
    from helpers.charts import drawn_once

    with drawn_once():
        yield
