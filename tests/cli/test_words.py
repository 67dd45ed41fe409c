"""Words: help that begins with common flags, lists of parts, near names, versions, completion."""

import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sngan
from sngan.cli import main
from sngan.cli.main import COMMANDS
from sngan.losses import LOSSES
from sngan.models import MODELS
from sngan.penalties import PENALTIES

README = (Path(__file__).parents[2] / "README.md").read_text()


def said(capsys, *arguments: str, status: int = 0) -> str:
    assert main(list(arguments)) == status
    captured = capsys.readouterr()
    return captured.out if status == 0 else captured.err


def common_flags(help_text: str) -> list[str]:
    block = help_text.split("common flags:\n")[1].split("\n\n")[0]
    return re.findall(r"^  (--\w+)", block, re.MULTILINE)


def test_the_help_of_train_begins_with_the_flags_of_the_readme(capsys):
    text = said(capsys, "train", "--help")
    found = common_flags(text)
    assert found[:6] == ["--data", "--out", "--method", "--model", "--steps", "--seed"]
    assert {"--preset", "--hours", "--resume", "--set", "--config", "--overwrite"} <= set(found)
    assert text.index("common flags:") < 300
    for flag in found:
        assert flag in README or flag == "--config", flag
    groups = re.findall(r"^(\w+) \(`\w+\.` may be left out\):$", text, re.MULTILINE)
    assert groups == ["data", "method", "model", "evaluation", "performance"]
    assert "usage: sngan train [FLAG ...]\n" in text


@pytest.mark.parametrize("command", ["train", "compare"])
def test_every_common_flag_is_one_that_the_command_takes(capsys, command):
    for flag in common_flags(said(capsys, command, "--help")):
        line = said(capsys, command, flag, "--no-such-flag", status=2)
        assert not line.startswith(f"sngan: error: {flag}: expected a flag"), line


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_help_fits_the_terminal(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    block = said(capsys, "train", "--help").split("common flags:\n")[1].split("\n\n")[0]
    assert max(map(len, block.splitlines())) <= max(int(columns), 44)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_is_its_help(capsys, command):
    assert said(capsys, "help", command) == said(capsys, command, "--help")


def test_help_alone_is_the_usage(capsys):
    assert said(capsys, "help") == said(capsys, "--help")
    for command in COMMANDS:
        assert f"  {command} " in said(capsys, "help")


def test_version_tells_what_a_report_of_a_fault_needs(capsys):
    import torch

    first, second = said(capsys, "version").splitlines()
    assert first == f"sngan {sngan.__version__}"
    assert second == f"Python {platform.python_version()}, torch {torch.__version__}"


def test_methods_losses_and_penalties_have_a_line_each(capsys):
    lines = said(capsys, "methods").splitlines()
    for name, method in sngan.METHODS.items():
        line = next(one for one in lines if one.startswith(f"{name} "))
        assert method.loss in line
        assert method.penalty is None or f"penalty {method.penalty}" in line
        assert re.search(r"arXiv:\d{4}\.\d{4,5}$", line), line
    for name in LOSSES:
        assert name in next(line for line in lines if line.startswith("losses (--loss)"))
    for name in PENALTIES:
        assert any(line.startswith(f"{name} ") and "E " in line for line in lines)
    assert max(map(len, lines)) < 150
    found = json.loads(said(capsys, "methods", "--json", "-"))
    assert list(found["methods"]) == list(sngan.METHODS)
    assert found["methods"]["wgan"]["constraint"] == "weights clipped to ±0.01"


def test_models_have_a_line_each(capsys):
    lines = said(capsys, "models").splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(MODELS)
    assert all(len(line.split()) > 3 for line in lines[2:])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("trian", "train"), ("generat", "generate"), ("evalute", "evaluate"), ("morf", "morph"),
     ("lipshitz", "lipschitz"), ("docter", "doctor"), ("TRAIN", None), ("help trian", "train")],
)  # fmt: skip
def test_near_names_of_commands(capsys, typed, meant):
    line = said(capsys, *typed.split(), status=2)
    assert line.startswith("sngan: error: COMMAND: expected one of ")
    assert len(line.splitlines()) == 1
    assert meant is None or re.search(rf"\(did you mean {meant}\b", line), line


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["generate", "--overwrte"], "--overwrite"),
        (["generate", "--seedz", "3"], "--seeds"),
        (["generate", "--colums", "3"], "--columns"),
        (["lipschitz", "x", "--upperonly"], "--upper-only"),
        (["train", "--resum"], "--resume"),
        (["train", "--n_critc", "3"], "--n_critic"),
        (["train", "--n-critc", "3"], "--n_critic"),
        (["train", "--data.resolutoin", "3"], "--data.resolution"),
        (["generate", "x", "-n", "3"], "--n"),
        (["evaluate", "x", "--check-point", "best"], "--checkpoint"),
        (["train", "photos"], "--data photos"),
        (["compare", "photos", "--seeds", "2"], "--data photos"),
    ],
)
def test_near_names_of_flags_and_switches(capsys, arguments, meant):
    line = said(capsys, *arguments, status=2)
    assert re.search(rf"did you mean .*{re.escape(meant)}\b", line), line


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        (["data", "my", "photos"], "source"),
        (["distance", "a", "b", "c"], "source_x and source_y"),
        (["generate", "runs/my", "run", "--out", "x.png"], "run"),
        (["push", "run", "hf:me/x", "more"], "run and target"),
        (["methods", "sn"], "flags alone"),
        (["help", "train", "sn"], "command"),
    ],
)
def test_a_word_too_many(capsys, arguments, known):
    line = said(capsys, *arguments, status=2)
    assert line.startswith(f"sngan: error: sngan {arguments[0]}: expected "), line
    assert f"{known}, got also " in line
    assert ("needs quotes" in line) == (known != "flags alone")


def test_dashes_alone_make_no_flags_near(capsys):
    assert "did you mean" not in said(capsys, "evaluate", "x", "--n", "3", status=2)


def test_completion_without_the_package_names_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    line = said(capsys, "completion", "bash", status=2)
    assert line.startswith("sngan: error: shell: expected the package `shtab`, got none; pip ins")
    assert "shell: expected one of bash, zsh" in said(capsys, "completion", "fish", status=2)


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    place = len(words)
    line = " ".join(f"'{word}'" for word in ("sngan", *words))
    code = (
        f"source {script}; COMP_WORDS=({line}); COMP_CWORD={place}; "
        "$(complete -p sngan | sed 's/.*-F \\([^ ]*\\).*/\\1/'); printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_commands_flags_and_values(capsys, tmp_path):
    pytest.importorskip("shtab", reason="needs shtab, the extra completion")
    script = tmp_path / "sngan.bash"
    script.write_text(said(capsys, "completion", "bash"))
    assert set(COMMANDS) <= set(completed(script, ""))
    assert set(completed(script, "ge")) == {"generate"}
    assert {"--seeds", "--seed"} <= set(completed(script, "generate", "--se"))
    assert set(completed(script, "train", "--n_cr")) == {"--n_critic"}
    assert set(completed(script, "train", "--method", "")) == set(sngan.METHODS)
    assert set(completed(script, "train", "--cache", "m")) == {"memory"}
    assert set(completed(script, "help", "mor")) == {"morph"}


def test_zsh_gets_a_script_too(capsys):
    pytest.importorskip("shtab", reason="needs shtab, the extra completion")
    text = said(capsys, "completion", "zsh")
    assert text.startswith("#compdef sngan")
    assert "--truncation" in text
