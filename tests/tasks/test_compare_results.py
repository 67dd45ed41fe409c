"""Results of comparisons: the numbers, the table, the page, the animation."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
import torch
import yaml
from PIL import Image

import sngan
from helpers.comparisons import TINY, compared
from helpers.pages import Page, svgs
from sngan.report import write_comparison
from sngan.report.results import CriticBounds, Evaluation, RunResult
from sngan.runs.critic import load_critic
from sngan.tasks.compare import compare, summary
from sngan.tasks.compare.animation import animate


def test_every_run_is_an_ordinary_run(finished):
    folder = finished.folder / "runs" / "wgan-seed0"
    assert len(sngan.load(folder).generate(3)) == 3
    assert (folder / "report.html").is_file()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    logged = [line["step"] for line in lines if "critic_loss" in line]
    assert logged == [2, 4, 6, 8, 10, 12]
    assert [line["step"] for line in lines if "evaluation" in line] == list(range(1, 13))


def test_a_failed_run_is_a_row(finished):
    rows = finished.to_dict()["runs"]
    assert [row["error"] for row in rows] == [
        None,
        None,
        None,
        "critic_loss was not finite at step 3",
    ]
    table = finished.table()
    assert "failed: runs/wgan-seed1: critic_loss was not finite at step 3" in table
    sn, wgan = (line.split() for line in table.splitlines()[2:4])
    assert (sn[:3], sn[-1]) == (["sn", "own", "2"], "–")
    assert (wgan[:3], wgan[-1]) == (["wgan", "own", "2"], "1")
    assert "±" in sn
    assert "±" not in wgan


def test_the_numbers_are_those_of_the_runs(finished):
    data = json.loads((finished.folder / "compare.json").read_text())
    assert data == finished.to_dict()
    assert (data["metric"], data["coverage"]) == ("w1", "modes")
    assert (data["methods"], data["seeds"], data["settings"]) == (
        ["sn", "wgan"],
        [0, 1],
        {"own": {}},
    )
    sn, wgan = data["summary"]
    runs = [run for run in data["runs"] if run["method"] == "sn"]
    values = [run["evaluation"]["w1"] for run in runs]
    assert sn["metrics"]["w1"]["values"] == values
    assert sn["metrics"]["w1"]["mean"] == pytest.approx(sum(values) / 2)
    assert sn["metrics"]["w1"]["spread"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert wgan["metrics"]["w1"]["spread"] is None
    assert runs[0]["evaluation"]["reverse_kl"] is None
    assert (runs[0]["n_generated"], runs[0]["n_real"]) == (2500, 100)
    for cell in (sn, wgan):
        assert 0 < cell["lipschitz"]["lower"] <= cell["lipschitz"]["upper"] * (1 + 1e-9)
        assert cell["layers"]
        for layer in cell["layers"]:
            assert layer["spectrum"][0] == 1.0
            assert sorted(layer["spectrum"], reverse=True) == layer["spectrum"]
        for key in ("generator_gradient_norm", "w_estimate", "w1", "w1_bound"):
            assert [point[0] for point in cell["curves"][key]] == [2, 4, 6, 8, 10, 12]
            assert all(low <= mid <= high for _, mid, low, high in cell["curves"][key])
        assert cell["seconds_per_step"]["mean"] > 0
    for row in finished.to_dict()["runs"]:
        assert row["error"] or row["seconds"] > 0


def evaluated(extractor):
    return RunResult(
        *("sn", "own", 0, "runs/sn-seed0"),
        evaluated=Evaluation(
            model="mlp",
            is_images=False,
            evaluation={"frechet": 1.0, "w1": 2.0, "classes": 3.0},
            extractor=extractor,
            n_generated=5,
            n_real=5,
            lipschitz=CriticBounds(1.0, None),
        ),
    )


def test_points_are_ranked_by_w1_and_images_by_frechet():
    failed = RunResult("sn", "own", 1, "runs/sn-seed1", error="broken")
    assert summary.main_metrics([failed, evaluated("points")]) == ("w1", "classes")
    assert summary.main_metrics([failed, evaluated("domain")]) == ("frechet", "classes")
    assert summary.main_metrics([failed]) == (None, None)


@pytest.mark.parametrize("result", [evaluated("points"), RunResult("sn", "own", 1, "x", "broken")])
def test_a_row_is_read_as_it_was_written(result):
    row = json.loads(json.dumps(result.to_dict()))
    assert RunResult.from_dict(row).to_dict() == row


def test_seeds_become_a_band_and_short_curves_end():
    curves = [[(1, 4.0), (2, 1.0)], [(1, 2.0)], [(1, 9.0)]]
    assert summary.band(curves) == [(1, 4.0, 2.0, 9.0), (2, 1.0, 1.0, 1.0)]


NO_BOUNDS = {"lower": 1.0, "upper": None}
ADAM = {"lr": 1e-4, "betas": [0.5, 0.9], "n_critic": 5}
SECTIONS = [
    "All in one table",
    "What each method spent",
    "Which differences count",
    "Samples",
    "How the critic leads the samples",
]
SECTIONS += ["How good the samples are", "Modes covered over time", "How steep the critic can be"]
SECTIONS += ["Singular values of the critic's layers", "Gradient that reaches the generator"]
SECTIONS += ["The critic's estimate and the exact distance", "Time for a step"]
SECTIONS += ["Runs that failed (1)", "How to go on"]


def test_every_section_of_the_page_has_data(finished):
    text = (finished.folder / "compare.html").read_text()
    page = Page(text)
    assert page.titles == SECTIONS
    for svg in svgs(text):
        assert len(ElementTree.fromstring(svg).findall(".//{*}path")) > 5
    # two pictures of samples, and of each method an animation and its still
    assert page.tags.count("img") == 2 + 4
    assert all(uri.startswith(("data:image/", "#")) for uri in page.references)
    assert len(page.ids) == len(set(page.ids))
    assert "critic_loss was not finite at step 3" in text


def test_the_page_is_made_from_the_json_alone(finished, tmp_path):
    data = json.loads((finished.folder / "compare.json").read_text())
    for cell in data["summary"]:
        cell |= {"samples": None, "setting": "A"}
        cell["curves"]["evaluation.modes"] = [[6, 2.5, 2, 3], [12, 4, 4, 4]]
        cell["gradient"] = {"median": 1e-5, "vanishing": 0.9, "exploding": 0.0}
    more = [cell | {"setting": "F", "lipschitz": NO_BOUNDS} for cell in data["summary"]]
    data |= {"animations": {}, "settings": {"A": ADAM, "F": ADAM}, "data": "<script>"}
    data["summary"] += more
    (tmp_path / "compare.json").write_text(json.dumps(data))
    text = write_comparison(tmp_path).read_text()
    page = Page(text)
    assert "How much the optimizer's settings matter" in page.titles
    assert "Singular values of the critic's layers (setting F)" in page.titles
    # only the pictures of samples are missing: every chart has data
    assert text.count("These runs recorded none of these values") == 1
    assert len(re.findall('<div class="chart">', text)) == 9
    assert "1e-05 vanishing" in text
    assert "script" not in page.tags
    assert "Optimizer settings" in text
    with pytest.raises(ValueError, match=r"out: expected a comparison with compare.json, got"):
        write_comparison(tmp_path / "none")


def test_the_animation_moves(finished):
    with Image.open(finished.folder / "animations" / "sn.gif") as gif:
        frames = []
        for index in range(gif.n_frames):
            gif.seek(index)
            frames.append(gif.convert("RGB").tobytes())
    assert len(frames) == 12
    assert len(set(frames)) == 12
    with Image.open(finished.folder / "animations" / "sn.png") as strip:
        assert strip.width > strip.height > 400


def test_frames_hold_the_critics_gradient(finished, tmp_path):
    folder = finished.folder / "runs" / "sn-seed0"
    frames = animate(folder, tmp_path / "a.gif", strip=tmp_path / "a.png")
    assert [frame.step for frame in frames] == list(range(1, 13))
    frame = frames[-1]
    critic = load_critic(folder)
    step = 1e-2 * frame.gradients
    up, down = critic(frame.positions + step), critic(frame.positions - step)
    slope = 2e-2 * frame.gradients.square().sum(1)
    torch.testing.assert_close((up - down).flatten(), slope, rtol=0.2, atol=1e-3)


def test_an_animation_needs_kept_checkpoints(finished, tmp_path):
    sngan.train(replace(TINY, steps=2, out=str(tmp_path / "run")))
    with pytest.raises(ValueError, match="run: expected checkpoints kept on the way"):
        animate(tmp_path / "run", tmp_path / "a.gif", strip=tmp_path / "a.png")


def test_a_config_of_a_run_is_complete(finished):
    settings = yaml.safe_load((finished.folder / "runs" / "sn-seed1" / "config.yaml").read_text())
    assert settings["seed"] == 1
    assert settings["keep_every"] == 1
    assert settings["evaluation"]["every"] == 1


def test_another_comparison_is_not_overwritten(finished):
    out = finished.folder
    before = (out / "compare.json").read_bytes()
    with pytest.raises(ValueError, match=r"out: expected a comparison with the same settings.*"
                       r"steps: 12 → 13; batch_size: 16 → 8"):  # fmt: skip
        compare(replace(TINY, steps=13, batch_size=8), methods=["sn"], out=out)
    with pytest.raises(ValueError, match=r"method.clip: None → 0.1"):
        compared(out, overrides={"clip": 0.1})
    assert (out / "compare.json").read_bytes() == before
