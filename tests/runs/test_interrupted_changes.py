"""A kill between any two changes of a folder leaves one that the next command puts right."""

import shutil

import pytest

import sngan
from helpers.folders import contents, kept, tiny, write_all
from sngan.runs import manifest
from sngan.runs.layout import RUN_FILE
from sngan.runs.manifest import Manifest

NOTES = {"notes.txt": b"mine", "samples/mine.png": b"mine"}


class Killed(BaseException):
    """What no cleaning up hears of."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    sngan.train(tiny(folder))
    write_all(folder, NOTES)
    return folder


def die_at(monkeypatch, number):
    """Let the process die at its ``number``-th change of a folder."""
    calls = [0]

    def counted(function):
        def call(*arguments, **options):
            calls[0] += 1
            if calls[0] == number:
                raise Killed
            return function(*arguments, **options)

        return call

    for name in ("replace", "unlink", "mkdir", "rmdir"):
        monkeypatch.setattr(manifest.Path, name, counted(getattr(manifest.Path, name)))


def files(folder):
    return Manifest(folder, kind="sngan run 1", pattern=RUN_FILE)


def steps_of(made, folder, monkeypatch, act):
    """Run ``act`` on a copy once for each of its changes, killed there; yield each copy."""
    total, number = 1, 1
    while number <= total:
        copy = shutil.copytree(made, folder / str(number))
        with monkeypatch.context() as patched:
            die_at(patched, number)
            try:
                act(files(copy))
            except Killed:
                total = number + 1
        yield copy
        number += 1


def test_a_kill_while_files_are_set_aside(made, tmp_path, monkeypatch):
    before, count = contents(made, without=[".sngan"]), 0
    for copy in steps_of(made, tmp_path, monkeypatch, Manifest.set_aside):
        files(copy).restore()
        assert contents(copy, without=[".sngan"]) == before
        assert not (copy / ".sngan" / "replaced").exists()
        count += 1
    assert count > 20


def test_a_kill_while_they_are_put_back(made, tmp_path, monkeypatch):
    before, count = contents(made, without=[".sngan"]), 0
    aside = shutil.copytree(made, tmp_path / "aside")
    files(aside).set_aside()
    new = files(aside)
    for name in ("config.yaml", "samples/step-000000.png"):
        new.claim(name).write_bytes(b"new")
    for copy in steps_of(aside, tmp_path, monkeypatch, Manifest.restore):
        files(copy).restore()
        assert contents(copy, without=[".sngan"]) == before
        count += 1
    assert count > 20


def test_a_kill_while_they_are_deleted(made, tmp_path, monkeypatch):
    aside = shutil.copytree(made, tmp_path / "aside")
    files(aside).set_aside()
    for copy in steps_of(aside, tmp_path, monkeypatch, Manifest.delete_set_aside):
        files(copy).delete_set_aside()
        assert contents(copy, without=[".sngan"]) == NOTES
        assert not (copy / ".sngan" / "replaced").exists()


def test_a_new_run_that_was_killed_before_its_first_checkpoint(made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "run")
    before = sngan.load(copy).generate(4)
    files(copy).set_aside()
    files(copy).claim("config.yaml").write_text("half")
    with pytest.raises(ValueError, match=r"a run$"):
        sngan.train(tiny(copy))
    assert sngan.load(copy).generate(4).equal(before)
    sngan.train(tiny(copy, steps=4), resume=True)
    assert kept(copy, NOTES)


@pytest.mark.parametrize(
    "left", [[], [".sngan"], [".sngan", "samples"], ["samples", "checkpoints"]]
)
def test_a_kill_before_the_first_file_leaves_a_folder_that_starts(tmp_path, left):
    for name in left:
        (tmp_path / "run" / name).mkdir(parents=True)
    (tmp_path / "run").mkdir(exist_ok=True)
    sngan.train(tiny(tmp_path / "run"))


def test_a_kill_between_the_list_and_the_settings_leaves_a_folder_that_starts(tmp_path):
    files(tmp_path / "run").start()
    files(tmp_path / "run").claim("config.yaml")
    sngan.train(tiny(tmp_path / "run"))


def test_what_a_killed_process_was_writing_is_removed(made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "run")
    names = [f"{folder}.{'0' * 16}.sngan-tmp" for folder in ("", "checkpoints/", ".sngan/")]
    write_all(copy, dict.fromkeys([*names, ".mine.tmp"], b"half"))
    sngan.train(tiny(copy, steps=4), resume=True)
    assert not [name for name in names if (copy / name).exists()]
    assert (copy / ".mine.tmp").exists()
