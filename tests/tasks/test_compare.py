"""Comparisons: the plan, equal starts, going on, failures, the numbers, the page, the animation."""

import json
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace
from types import ModuleType

import pytest
import torch
import yaml
from PIL import Image

import sngan
from helpers.pages import Page, svgs
from sngan.config import Config, ModelConfig
from sngan.engine.state import State
from sngan.engine.train import Interrupted, TrainingError
from sngan.report import write_comparison
from sngan.tasks.compare import SETTINGS, compare, plan, runner, summary
from sngan.tasks.compare.animation import animate
from sngan.tasks.compare.evaluation import MEASURED
from sngan.utils.plain import finite

TINY = Config(
    data="ring8",
    model=ModelConfig(width=0.1, latent_dim=4),
    steps=12,
    batch_size=16,
    log_every=2,
    sample_every=12,
)


def test_the_settings_are_the_papers():
    # Miyato et al. 2018, arXiv:1802.05957, Table 1
    table = {
        "A": (0.0001, 0.5, 0.9, 5),
        "B": (0.0001, 0.5, 0.999, 1),
        "C": (0.0002, 0.5, 0.999, 1),
        "D": (0.001, 0.5, 0.9, 5),
        "E": (0.001, 0.5, 0.999, 5),
        "F": (0.001, 0.9, 0.999, 5),
    }
    assert {name: (s.lr, *s.betas, s.n_critic) for name, s in SETTINGS.items()} == table


def planned(**options):
    options = {"methods": ["sn", "wgan"], "seeds": 2, "settings": [], "out": "o"} | options
    return plan(replace(TINY, seed=3), **options)


def test_the_plan_is_every_method_setting_and_seed():
    runs = planned(settings=["A", "F"])
    assert [(run.method, run.setting, run.seed) for run in runs] == [
        (method, setting, seed)
        for seed in (3, 4)
        for setting in ("A", "F")
        for method in ("sn", "wgan")
    ]
    assert len({run.folder for run in runs}) == 8
    method = runs[3].config.method
    assert (method.name, method.optimizer, method.lr) == ("wgan", "adam", 1e-3)
    assert (method.betas, method.n_critic, method.clip) == ((0.9, 0.999), 5, 0.01)
    assert str(runs[3]) == "wgan, setting F, seed 3"
    assert all(run.config.steps == 12 and run.config.data == TINY.data for run in runs)


def test_without_settings_each_method_has_its_own():
    sn, wgan = (run.config.method for run in planned(seeds=1, overrides={"n_critic": 2}))
    assert sn == replace(sngan.METHODS["sn"], n_critic=2)
    assert wgan == replace(sngan.METHODS["wgan"], n_critic=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["sm"]}, r"methods: expected one of .*, got 'sm' \(did you mean sn"),
        ({"methods": []}, r"methods: expected at least one method, got none"),
        ({"settings": ["G"]}, r"settings: expected one of A, B, C, D, E, F, got 'G'"),
        ({"seeds": 0}, r"seeds: expected an integer of at least 1, got 0"),
        (
            {"settings": ["A"], "overrides": {"lr": 1.0, "clip": 0.1}},
            r"settings: expected none where the optimizer is set by hand, got A and method.lr",
        ),
    ],
)
def test_what_cannot_be_planned_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        planned(**options)


@pytest.mark.parametrize("other", ["wgan", "wgan-gp", "vanilla"])
def test_runs_of_one_seed_start_from_the_same_weights(other):
    # spectral normalization divides the weights it starts from, so it is compared by its raw ones
    dataset = sngan.data.open_source("ring8")
    config = replace(
        planned()[0].config, model=replace(TINY.model, name="mlp", sample_shape=(2,)), seed=5
    )
    sn, rival = (
        State.build(replace(config, method=sngan.METHODS[name]), dataset) for name in ("sn", other)
    )
    for left, right in zip(sn.generator.parameters(), rival.generator.parameters(), strict=True):
        assert torch.equal(left, right)
    scales = {name: 1.0 for name, _ in rival.critic.module.named_parameters()}
    scales |= {f"{name}.weight": s.item() for name, s in sn.spectral_norm.sigmas().items()}
    normalized = dict(sn.critic.module.named_parameters())
    for name, weight in rival.critic.module.named_parameters():
        torch.testing.assert_close(normalized[name] * scales[name], weight)
    another = State.build(replace(config, seed=6), dataset)
    assert not torch.equal(next(another.generator.parameters()), next(sn.generator.parameters()))


@dataclass
class Evaluated:
    values: dict
    extractor: str = "points"
    n_generated: int = 0
    n_real: int = 100


class Evaluator:
    """A stand-in that is quick: counts which eighths of the circle have samples."""

    def __init__(self, dataset, *, samples, **_):
        self.made = samples

    def __call__(self, samples):
        eighths = (torch.atan2(samples[:, 1], samples[:, 0]) * 4 / torch.pi).floor().unique()
        values = {"modes": float(len(eighths)), "w1": samples.norm(dim=1).mean().item()}
        return Evaluated(values | {"reverse_kl": float("inf")}, n_generated=len(samples))


@pytest.fixture(scope="module")
def quick_metrics():
    with pytest.MonkeyPatch.context() as patch:
        module = ModuleType("sngan.metrics")
        module.Evaluator = Evaluator
        module.HIGHER_IS_BETTER = {"modes": True, "w1": False, "reverse_kl": False}
        patch.setitem(sys.modules, "sngan.metrics", module)
        from sngan.tasks.compare import evaluation

        evaluation._evaluator.cache_clear()
        yield
        evaluation._evaluator.cache_clear()


def compared(out, **options):
    return compare(TINY, out=out, **{"methods": ["sn", "wgan"], "seeds": 2} | options)


@pytest.fixture(scope="module")
def finished(quick_metrics, tmp_path_factory):
    """A comparison that was interrupted once, and in which one run failed."""
    out = tmp_path_factory.mktemp("comparison") / "ring"
    trained, really_train = [], sngan.train
    with pytest.MonkeyPatch.context() as patch:

        def train(config, *, resume=False):
            trained.append((config.method.name, config.seed, resume))
            if config.method.name == "wgan" and config.seed == 1:
                raise TrainingError("critic_loss was not finite\nat step 3")
            if len(trained) == 2:
                really_train(replace(config, steps=6))
                raise Interrupted("interrupted at step 6")
            return really_train(config, resume=resume)

        patch.setattr(runner, "train", train)
        with pytest.raises(Interrupted, match="interrupted with 1 of 4 runs done; the same comm"):
            compared(out)
        assert not (out / "compare.json").exists()
        comparison = compared(out)
        assert trained == [
            ("sn", 0, False),
            ("wgan", 0, False),
            ("wgan", 0, True),
            ("sn", 1, False),
            ("wgan", 1, False),
        ]
        stamp = (out / "runs" / "sn-seed0" / MEASURED).stat().st_mtime_ns
        again = compared(out)
        assert trained[5:] == [("wgan", 1, False)]
        assert (out / "runs" / "sn-seed0" / MEASURED).stat().st_mtime_ns == stamp
        assert again.to_dict() == comparison.to_dict()
    return comparison


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
    assert (runs[0]["n_generated"], runs[0]["n_real"]) == (1000, 100)
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


def test_points_are_ranked_by_w1_and_images_by_frechet():
    values = {"frechet": 1.0, "w1": 2.0, "classes": 3.0}
    points, images = ({"extractor": e, "evaluation": values} for e in ("points", "domain"))
    assert summary.main_metrics([{}, points]) == ("w1", "classes")
    assert summary.main_metrics([{}, images]) == ("frechet", "classes")
    assert summary.main_metrics([{}]) == (None, None)


def test_seeds_become_a_band_and_short_curves_end():
    curves = [[(1, 4.0), (2, 1.0)], [(1, 2.0)], [(1, 9.0)]]
    assert summary._band(curves) == [(1, 4.0, 2.0, 9.0), (2, 1.0, 1.0, 1.0)]


def test_json_has_no_infinity():
    assert finite({"a": [float("inf"), (1.0, float("nan"))], "b": "x"}) == {
        "a": [None, [1.0, None]],
        "b": "x",
    }


NO_BOUNDS = {"lower": 1.0, "upper": None}
ADAM = {"lr": 1e-4, "betas": [0.5, 0.9], "n_critic": 5}
SECTIONS = ["All in one table", "Samples", "How the critic leads the samples"]
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
    assert text.count("Nothing of it was recorded") == 1
    assert len(svgs(text)) == 9
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
    critic = sngan.run.load_critic(folder)
    step = 1e-2 * frame.gradients
    up, down = critic(frame.positions + step), critic(frame.positions - step)
    slope = 2e-2 * frame.gradients.square().sum(1)
    torch.testing.assert_close((up - down).flatten(), slope, rtol=0.2, atol=1e-3)


def test_an_animation_needs_kept_checkpoints(finished, tmp_path):
    sngan.train(replace(TINY, steps=2, out=str(tmp_path / "run")))
    with pytest.raises(ValueError, match="run: expected checkpoints kept on the way"):
        animate(tmp_path / "run", tmp_path / "a.gif", strip=tmp_path / "a.png")


def test_another_comparison_is_not_overwritten(finished):
    out = finished.folder
    before = (out / "compare.json").read_bytes()
    with pytest.raises(ValueError, match=r"out: expected a comparison with the same settings.*"
                       r"steps: 12 → 13; batch_size: 16 → 8"):  # fmt: skip
        compare(replace(TINY, steps=13, batch_size=8), methods=["sn"], out=out)
    with pytest.raises(ValueError, match=r"method.clip: None → 0.1"):
        compared(out, overrides={"clip": 0.1})
    assert (out / "compare.json").read_bytes() == before


def test_other_files_are_never_deleted(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"out: expected a new or empty folder, or a comparison"):
        compared(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_nothing_is_written_for_a_wrong_request(tmp_path):
    with pytest.raises(ValueError, match="methods: expected one of"):
        compared(tmp_path / "out", methods=["nothing"])
    assert not (tmp_path / "out").exists()


def test_overwriting_starts_anew_and_all_failed_is_an_error(quick_metrics, tmp_path, monkeypatch):
    def train(config, *, resume=False):
        raise TrainingError(f"broken at seed {config.seed}")

    monkeypatch.setattr(runner, "train", train)
    for steps in (12, 13):
        with pytest.raises(TrainingError, match="all 2 runs failed; the first: broken at seed 0"):
            compare(replace(TINY, steps=steps), methods=["sn"], seeds=2, out=tmp_path / "c",
                    overwrite=True)  # fmt: skip
    data = json.loads((tmp_path / "c" / "compare.json").read_text())
    assert data["steps"] == 13
    assert "Runs that failed (2)" in Page((tmp_path / "c" / "compare.html").read_text()).titles


def test_a_run_killed_before_its_first_checkpoint_starts_anew(tmp_path, monkeypatch):
    (run,) = plan(TINY, methods=["sn"], seeds=1, settings=[], out=tmp_path)
    (run.folder / "samples").mkdir(parents=True)
    calls = []
    monkeypatch.setattr(runner, "train", lambda config, **o: calls.append((run.folder.exists(), o)))
    runner._train(run)
    assert calls == [(False, {"resume": False})]


def test_the_devices_are_shared_out(monkeypatch):
    runs = planned()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert runner._devices(runs) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6")
    assert runner._devices(runs) == ["3", "5", "6"]
    cpu = replace(TINY, performance=replace(TINY.performance, device="cpu"))
    assert runner._devices(plan(cpu, methods=["sn"], seeds=1, settings=[], out="o")) == []


@pytest.mark.slow
def test_runs_go_side_by_side_in_processes(tmp_path):
    runs = plan(replace(TINY, steps=2), methods=["sn"], seeds=2, settings=[],
                out=tmp_path)  # fmt: skip
    ended = []
    rows = runner._side_by_side(runs, ["0", "1"], on_done=lambda run, row: ended.append(run.seed))
    assert [row["error"] for row in rows] == [None, None]
    assert sorted(ended) == [0, 1]
    assert [row["seed"] for row in rows] == [0, 1]


def test_a_config_of_a_run_is_complete(finished):
    settings = yaml.safe_load((finished.folder / "runs" / "sn-seed1" / "config.yaml").read_text())
    assert settings["seed"] == 1
    assert settings["keep_every"] == 1
    assert settings["evaluation"]["every"] == 1
