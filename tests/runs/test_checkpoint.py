"""Checkpoints: atomic, whole, read without running code, rotated."""

import pickle

import pytest
import torch

from sngan.runs import checkpoint


def state(step: int) -> dict:
    return {"step": step, "weights": torch.arange(1000.0) + step}


def test_round_trip(tmp_path):
    path = tmp_path / "a.pt"
    checkpoint.write(state(3), path)
    read = checkpoint.read(path)
    assert read["step"] == 3
    assert torch.equal(read["weights"], torch.arange(1000.0) + 3)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "a.pt"
    checkpoint.write(state(1), path)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        checkpoint.write({"step": 2, "bad": lambda: None}, path)
    assert checkpoint.read(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_rotation_keeps_the_one_before_and_every_kth(tmp_path):
    for step in (0, 2, 4, 6):
        checkpoint.rotate(state(step), tmp_path, keep_every=4)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "last.pt",
        "previous.pt",
        "step-000004.pt",
    ]
    assert checkpoint.read(tmp_path / "last.pt")["step"] == 6
    assert checkpoint.read(tmp_path / "previous.pt")["step"] == 4
    assert checkpoint.read(tmp_path / "step-000004.pt")["step"] == 4


def cut(path):
    path.write_bytes(path.read_bytes()[:700])


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("not a checkpoint at all")


def foreign(path):
    torch.save({"model": torch.ones(2)}, path)


class Evil:
    def __reduce__(self):
        return (print, ("this code must never run",))


def evil(path):
    torch.save({"format": "sngan checkpoint 1", "step": 9, "x": Evil()}, path)


@pytest.mark.parametrize("damage", [cut, empty, text, foreign, evil])
def test_damaged_and_foreign_files_are_refused_and_passed_over(tmp_path, damage, capsys):
    checkpoint.rotate(state(1), tmp_path)
    checkpoint.rotate(state(2), tmp_path)
    damage(tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"checkpoint: expected .* got .*last.pt"):
        checkpoint.read(tmp_path / "last.pt")
    newest, problems = checkpoint.read_newest(tmp_path)
    assert newest["step"] == 1
    assert len(problems) == 1
    assert "must never run" not in capsys.readouterr().out


def test_a_crash_between_the_renames_loses_nothing(tmp_path):
    checkpoint.rotate(state(1), tmp_path)
    checkpoint.write(state(2), tmp_path / "next.pt")
    (tmp_path / "last.pt").rename(tmp_path / "previous.pt")
    assert checkpoint.read_newest(tmp_path)[0]["step"] == 2


def test_no_checkpoint_is_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(ValueError, match=r"resume: expected a readable checkpoint, got none in "):
        checkpoint.read_newest(tmp_path)
    with pytest.raises(ValueError, match="nothing at"):
        checkpoint.read(tmp_path / "last.pt")
