"""Folders: those that sngan made go when they are empty, those of the user stay."""

import shutil

import pytest

from helpers.folders import SMALL
from sngan.cli import main


def train(out, *more):
    return main(["train", *SMALL, "--steps", "2", "--out", str(out), *more])


def folders(out):
    return {path.name for path in out.iterdir() if path.is_dir()}


FOLDERS = ("lipschitz", "samples", "mine")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with bounds, and the folders that it had before."""
    out = tmp_path_factory.mktemp("made") / "run"
    assert train(out) == 0
    fresh = folders(out)
    assert main(["lipschitz", str(out), "--upper-only"]) == 0
    return out, fresh


@pytest.mark.parametrize("own", [None, *FOLDERS])
def test_overwrite_leaves_no_empty_folder_and_takes_none_of_the_user(made, tmp_path, own):
    run, fresh = made
    out = shutil.copytree(run, tmp_path / "run")
    (out / "mine").mkdir()
    if own is not None:
        (out / own / "notes.txt").write_text("mine")
    assert train(out, "--overwrite") == 0
    assert folders(out) == fresh | {"mine"} | ({own} - {None})
    assert [name for name in FOLDERS if (out / name / "notes.txt").exists()] == [own] * bool(own)


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize(
    "wrong", [["--data", "nothing-here"], ["--set", "width=1e9"], ["--resume"]]
)
def test_a_refused_request_keeps_empty_folders_of_the_user(tmp_path, wrong, above):
    out = tmp_path / "above" / "out"
    (out.parent if above else out).mkdir(parents=True)
    assert train(out, *wrong) == 2
    assert out.parent.exists()
    assert out.exists() != above
