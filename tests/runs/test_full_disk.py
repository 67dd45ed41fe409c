"""A disk that is full at any call of a replacement: the files that were replaced come back."""

import errno
import itertools

import pytest

import sngan
from helpers import calls
from helpers.folders import tiny
from sngan.runs import export


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    sngan.train(tiny(folder))
    return sngan.load(folder)


# a full disk lets names be changed and files be removed
FREE = ("replace", "rename", "link", "unlink", "remove", "rmdir", "close")


def samples(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def full_at(at):
    fail = calls.failing(at, errno.ENOSPC)
    return lambda call: None if call.name in FREE else fail(call)


def test_samples_that_could_not_be_replaced_are_put_back(run, tmp_path):
    out = tmp_path / "drawn"
    export.export(run, out, n=3)
    before, failed = samples(out), 0
    for at in itertools.count(1):
        failure = None
        with calls.interposed(full_at(at)) as made:
            try:
                export.export(run, out, n=3, seed=1, overwrite=True)
            except OSError as error:
                failure = error
        if failure is not None:
            assert str(tmp_path) in str(failure)
            assert samples(out) == before, made[at - 1]
            failed += 1
            continue
        export.export(run, out, n=3, overwrite=True)
        if at > len(made):
            break
    assert failed > 5
