"""The file of --json is checked before the work, and its folders are made."""

import json

import pytest

from sngan.cli import main


def test_missing_folders_are_made(tmp_path, capsys):
    path = tmp_path / "a" / "b" / "figures.json"

    few = ["--n", "100", "--permutations", "0"]
    assert main(["distance", "ring8", "grid25", *few, "--json", str(path)]) == 0
    w1 = json.loads(path.read_text())["w1"]
    assert f"W1 = {w1:.6g}" in capsys.readouterr().out
    assert w1 == pytest.approx(0.287, abs=0.1)


@pytest.mark.parametrize("command", ["distance ring8 grid25", "data ring8", "evaluate no-run",
                                     "lipschitz no-run", "doctor no-run", "cache"])  # fmt: skip
@pytest.mark.parametrize("place", ["folder", "file/below"])
def test_a_path_that_cannot_be_a_file_is_refused_first(tmp_path, capsys, command, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")

    assert main([*command.split(), "--json", str(tmp_path / place)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("sngan: error: --json: expected a ")
    assert said.err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "kept"
