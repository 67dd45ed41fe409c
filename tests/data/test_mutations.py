"""Mutations: a randomly damaged file is read, or refused in one line that names it."""

import resource
import time
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.examples import examples
from helpers.zoo.mutations import FORMATS, STREAMED, damaged
from sngan.data import Sampler, open_source

MOST_SECONDS, MOST_MEMORY = 5, 500 * 2**20
# what a terminal obeys or hides; a name may have spaces that Python calls unprintable
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.fixture(scope="module", params=FORMATS)
def victim(request, tmp_path_factory):
    """Make a file of a format; return it, its bytes, its SOURCE, and the cache to use."""
    root = tmp_path_factory.mktemp("victim")
    path, source = FORMATS[request.param](root)
    caches = ["memory", "stream"] if request.param in STREAMED else ["memory"]
    return path, path.read_bytes(), source, caches


def outcome(source: str, cache: str, cache_dir) -> tuple[str, str]:
    """Return the class and the text of the error; empty if the source is read and sampled."""
    try:
        dataset = open_source(source, cache=cache, cache_dir=cache_dir, channels=3, workers=1)
        sampler = Sampler(dataset, 2)
        for _ in range(3):
            sampler.next()
    except ValueError as error:
        return type(error).__name__, str(error)
    return "", ""


def assert_survived(victim, seed: int, cache_dir) -> None:
    path, content, source, caches = victim
    path.write_bytes(damaged(content, seed))
    for cache in caches:
        started, before = time.thread_time(), peak()
        kind, said = outcome(source, cache, cache_dir)
        # a subclass is an error of a library that was not translated
        assert kind in ("", "ValueError")
        assert not {unicodedata.category(character) for character in said} & UNSEEN
        assert len(said) < 1000
        assert not said or path.name in said or str(path.parent) in said
        assert time.thread_time() - started < MOST_SECONDS
        assert peak() - before < MOST_MEMORY


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32))
def test_damage_is_read_or_refused(victim, seed, tmp_path):
    assert_survived(victim, seed, tmp_path)


@pytest.mark.slow
def test_much_damage_is_read_or_refused(victim, tmp_path):
    for seed in range(1000):
        assert_survived(victim, seed, tmp_path)
