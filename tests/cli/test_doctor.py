"""The command ``sngan doctor``, and the diagnosis in Python and in the report."""

import json
import shutil
from pathlib import Path

import pytest

import sngan
from helpers.health import records
from sngan.cli import main

EARLIER = Path(__file__).parents[1] / "helpers" / "earlier_run" / "run"


def with_records(tmp_path: Path, made: list[dict], *, junk: str = "") -> Path:
    run = shutil.copytree(EARLIER, tmp_path / "run")
    lines = "".join(f"{json.dumps(record)}\n" for record in made)
    (run / "metrics.jsonl").write_text(junk + lines + junk)
    return run


@pytest.fixture
def ill(tmp_path):
    return with_records(tmp_path, records(20, spread=0.05, w1=0.5, w1_floor=0.1))


def test_an_ill_run_gets_its_findings_and_the_flags_to_try(ill, capsys):
    assert main(["doctor", str(ill)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("step 1,000: ill: collapse")
    assert "evidence: spread 0.05" in printed
    assert "sngan train --config" in printed


def test_json_has_the_same_findings(ill, tmp_path, capsys):
    assert main(["doctor", str(ill), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] is False
    assert found["findings"][0]["name"] == "collapse"
    assert found["findings"][0]["flags"].startswith("--set ")
    path = tmp_path / "found.json"
    assert main(["doctor", str(ill), "--json", str(path)]) == 0
    assert json.loads(path.read_text()) == found
    assert sngan.load(ill).diagnose().to_dict() == found


def test_a_healthy_run_is_called_healthy(tmp_path, capsys):
    run = with_records(tmp_path, records(12, w1=lambda k: 0.9 * 0.8**k, w1_floor=0.1))
    assert main(["doctor", str(run)]) == 0
    assert capsys.readouterr().out.startswith("step 600: healthy\nnot found: ")


def test_a_run_of_an_earlier_version_is_judged_as_far_as_it_goes(capsys):
    assert main(["doctor", str(EARLIER)]) == 0
    printed = capsys.readouterr().out
    assert "unknown: the run did not record spread, duplicates, reach" in printed
    assert "cannot be judged: critic overfitting" in printed


def test_damaged_records_are_passed_over(tmp_path, capsys, caplog):
    junk = '{"step": 5, "health": [1]}\nnot json\n{"step": -1}\n\x00\n'
    run = with_records(tmp_path, records(20, spread=0.05), junk=junk)
    assert main(["doctor", str(run)]) == 0
    assert "ill: collapse" in capsys.readouterr().out
    assert "passed over" in caplog.text


@pytest.mark.parametrize("content", [None, "", "nothing\n"])
def test_a_run_without_records_is_refused_in_one_line(tmp_path, capsys, content):
    run = with_records(tmp_path, [])
    if content is None:
        (run / "metrics.jsonl").unlink()
    else:
        (run / "metrics.jsonl").write_text(content)
    assert main(["doctor", str(run)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == "sngan: error: run: expected a run with records (train first), got none"


@pytest.mark.parametrize("arguments", [[], ["no/such/folder"], ["tests"], ["a", "b"]])
def test_a_wrong_request_is_one_line(arguments, capsys):
    assert main(["doctor", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("sngan: error: ")


def test_help_teaches(capsys):
    assert main(["doctor", "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "vanishing gradient" in printed
    assert "--json" in printed


def test_the_report_has_a_section_on_health(ill):
    assert main(["report", str(ill)]) == 0
    page = (ill / "report.html").read_text()
    assert "<h2>Health: ill</h2>" in page
    assert "<strong>collapse</strong> since step" in page
    (ill / "metrics.jsonl").write_text("")
    assert main(["report", str(ill)]) == 0
    assert "<h2>Health" not in (ill / "report.html").read_text()
