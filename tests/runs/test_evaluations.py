"""Results of ``sngan evaluate`` in a run folder."""

import json

import pytest

import sngan
from helpers.tiny_run import config_of, pictures
from sngan.runs.evaluations import add_evaluation, iter_evaluations
from sngan.tasks.evaluate import evaluate


@pytest.fixture
def run(tmp_path):
    source = pictures(tmp_path / "pictures.npz", count=40)
    return sngan.train(config_of(tmp_path / "run", source, steps=1)).folder


def test_evaluate_writes_its_result_into_the_run_and_its_report(run):
    result = evaluate(run, samples=15)
    (kept,) = iter_evaluations(run)
    conditions = {"source", "seed", "is_own"}
    assert {k: v for k, v in kept.items() if k not in conditions} == json.loads(
        json.dumps(result.to_dict())
    )
    assert (result.n_real_against_real, result.extractor) == (15, "pixels")
    assert set(result.real_against_real) >= {"frechet", "precision", "kernel", "coverage"}
    assert not kept["is_own"]
    assert "15 generated against 15 real samples" in (run / "report.html").read_text()
    evaluate(run)
    assert [one["is_own"] for one in iter_evaluations(run)] == [False, True]
    names = (run / ".sngan" / "files.jsonl").read_text()
    assert "evaluations.jsonl" in names
    assert "samples/real.png" in names


def test_a_new_run_in_the_folder_has_no_results_of_the_old_one(run):
    add_evaluation(run, {"values": {}})
    config = sngan.load(run).config
    sngan.train(config, overwrite=True)
    assert list(iter_evaluations(run)) == []


def test_a_line_that_was_cut_off_stays_alone(run):
    add_evaluation(run, {"values": {"a": 1.0}})
    path = run / "evaluations.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    add_evaluation(run, {"values": {"a": 2.0}})
    assert [one["values"]["a"] for one in iter_evaluations(run)] == [2.0]


def test_a_file_of_another_program_is_left_alone(run, caplog):
    path = run / "evaluations.jsonl"
    path.write_text("my notes")
    result = evaluate(run)
    assert result.values
    assert path.read_text() == "my notes"
    assert "the result is not written into the run" in caplog.text
    assert list(iter_evaluations(run)) == []


def test_a_link_is_not_followed(run, tmp_path):
    target = tmp_path / "target"
    target.write_text(json.dumps({"values": {"a": 1.0}}))
    (run / "evaluations.jsonl").symlink_to(target)
    assert list(iter_evaluations(run)) == []
    evaluate(run)
    assert json.loads(target.read_text()) == {"values": {"a": 1.0}}
