"""The programs in README.md run, and the complete one learns what it says."""

import math
import re
from pathlib import Path

import pytest
import torch

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PROGRAM = next(
    code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "def mlp" in code
)


def run(program: str, *, seed: int) -> dict:
    torch.manual_seed(seed)
    names: dict = {}
    exec(compile(program, "README.md", "exec"), names)
    return names


def test_the_program_of_the_readme_runs(capsys):
    found = run(PROGRAM.replace("STEPS = 1500", "STEPS = 40"), seed=0)
    for layer in (found["critic"][0], found["critic"][2], found["critic"][4]):
        norm = torch.linalg.matrix_norm(layer.weight.detach().double(), 2)
        # One power iteration an update follows the first large steps with some delay.
        assert float(norm) == pytest.approx(2.0, abs=0.3)
    assert "tensor" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_program_of_the_readme_finds_all_eight_clusters(seed):
    points = run(PROGRAM, seed=seed)["points"]
    angles = torch.arange(8) * (math.pi / 4)
    distances = torch.cdist(points, torch.stack([angles.cos(), angles.sin()], dim=1))
    nearest, cluster = distances.min(dim=1)
    near = cluster[nearest < 0.06]
    assert len(near) > 0.5 * len(points)
    assert torch.bincount(near, minlength=8).min() > 0.04 * len(points)


def test_no_line_of_the_readme_is_too_long_to_read():
    is_table = re.compile(r"^\|")
    assert [
        line for line in README.splitlines() if len(line) > 110 and not is_table.match(line)
    ] == []
