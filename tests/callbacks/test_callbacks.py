"""Callbacks: when each hook is called and with what, stopping, failing, and what is shipped."""

import csv
import json
import logging
from dataclasses import replace

import pytest
import torch
from lightning_fabric.loggers import CSVLogger

from helpers.ranks import on_ranks
from sngan import Config, train
from sngan.callbacks import Callback, EarlyStopping, FabricLogger, as_callbacks
from sngan.engine.own_parts import OwnParts
from sngan.engine.train import TrainingError
from sngan.engine.worker import train_on_rank
from sngan.runs.records import iter_records

HOOKS = ("start", "step", "log", "picture", "evaluate", "save", "end")


class Diary(Callback):
    """Writes down each call, also into a file, because each rank has a copy."""

    def __init__(self, path=None):
        self.calls, self.path = [], path

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        return lambda training, *given: self.note(name.removeprefix("on_"), training, *given)

    def note(self, hook, training, *given):
        self.calls.append((hook, training.step, *given))
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(f"{training.rank} {hook} {training.step}\n")

    # the runner asks the class whether there is a hook for steps
    def on_step(self, training, terms): ...


def config(folder, **changes):
    given = {
        "data": "ring8", "steps": 6, "batch_size": 8, "width": 0.05, "n_critic": 1, "log_every": 2,
        "sample_every": 3, "save_every": 4, "every": 3, "samples": 20, "out": str(folder / "run"),
    }  # fmt: skip
    return Config(**{**given, **changes})


def checkpoint_of(run_folder):
    return torch.load(run_folder / "checkpoints" / "last.pt", weights_only=True)


def test_each_hook_is_called_when_it_is_due(tmp_path):
    diary = Diary()
    run = train(config(tmp_path), callbacks=[diary])
    steps = {hook: [call[1] for call in diary.calls if call[0] == hook] for hook in HOOKS}
    assert steps == {
        "start": [0], "step": [1, 2, 3, 4, 5, 6], "log": [2, 4, 6], "picture": [0, 3, 6],
        "evaluate": [3, 6], "save": [0, 4, 6], "end": [6],
    }  # fmt: skip
    given = {
        hook: [call[2] for call in diary.calls if call[0] == hook and call[2:]] for hook in HOOKS
    }
    assert given["end"] == [None]
    assert given["picture"][-1] == run.folder / "samples" / "step-000006.png"
    assert given["save"][-1] == run.folder / "checkpoints" / "last.pt"
    records = [record for record in iter_records(run.folder) if "evaluation" not in record]
    assert [record["critic_loss"] for record in records] == pytest.approx(
        [record["critic_loss"] for record in given["log"]]
    )
    evaluated = [
        record["evaluation"] for record in iter_records(run.folder) if "evaluation" in record
    ]
    assert evaluated == [pytest.approx(metrics) for metrics in given["evaluate"]]
    assert all(value.shape == () for value in given["step"][-1].values())


@pytest.mark.slow
@pytest.mark.bitwise
def test_a_callback_that_only_looks_changes_nothing(tmp_path):
    plain = train(config(tmp_path / "a"))
    seen = train(config(tmp_path / "b"), callbacks=[Diary()])
    assert torch.equal(plain.generate(9), seen.generate(9))
    first, second = (checkpoint_of(run.folder)["critic"] for run in (plain, seen))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_without_callbacks_for_steps_nothing_is_called(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(Callback, "on_step", never)
    train(config(tmp_path), callbacks=[Callback()])


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step(self, training, terms):
        if training.step == self.step:
            training.stop("because")
            training.stop("a second reason")


@pytest.mark.slow
@pytest.mark.bitwise
def test_a_stopped_run_has_a_checkpoint_and_goes_on(tmp_path, capsys):
    whole = train(config(tmp_path / "whole"))
    stopped = train(config(tmp_path), callbacks=[StopAt(5)])
    assert "stopped at step 5: because\n" in capsys.readouterr().out
    assert checkpoint_of(stopped.folder)["step"] == 5
    resumed = train(stopped.config, resume=True)
    assert torch.equal(resumed.generate(9), whole.generate(9))


@pytest.mark.parametrize(
    "hook",
    [
        "log",
        *(
            pytest.param(hook, marks=pytest.mark.slow)
            for hook in HOOKS
            if hook not in ("log", "end")
        ),
    ],
)
def test_a_callback_that_raises_ends_the_run_with_a_line_and_a_checkpoint(hook, tmp_path):
    def fail(self, training, *given):
        if training.step >= 3 or hook == "start":
            raise KeyError("key of mine")

    broken = type("Broken", (Callback,), {f"on_{hook}": fail})()
    diary = Diary()
    with pytest.raises(TrainingError) as error:
        train(config(tmp_path), callbacks=[broken, diary])
    step = {"start": 0, "step": 3, "log": 4, "picture": 3, "evaluate": 3, "save": 4}[hook]
    expected = f"callback Broken failed in on_{hook} at step {step}: KeyError: 'key of mine'; log: "
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)
    assert checkpoint_of(tmp_path / "run")["step"] == step
    assert diary.calls[-1][0] == "end"
    assert diary.calls[-1][2] is error.value
    resumed = train(config(tmp_path), resume=True)
    assert checkpoint_of(resumed.folder)["step"] == 6


def test_an_error_at_the_end_is_a_warning(tmp_path, caplog):
    class Broken(Callback):
        def on_end(self, training, error):
            raise OSError("no network")

    with caplog.at_level(logging.WARNING, "sngan"):
        run = train(config(tmp_path), callbacks=[Broken])
    assert "callback Broken failed in on_end: OSError: no network" in caplog.text
    assert checkpoint_of(run.folder)["step"] == 6


def test_an_error_of_the_training_reaches_the_callbacks(tmp_path):
    diary = Diary()
    with pytest.raises(TrainingError) as error:
        train(config(tmp_path, optimizer="sgd", lr=1e30), callbacks=[diary])
    assert diary.calls[-1][::2] == ("end", error.value)


@pytest.mark.slow
def test_two_ranks(tmp_path):
    path = tmp_path / "calls.txt"
    settings = config(tmp_path, devices=2, device="cpu")
    own = OwnParts.of(
        generator=None, critic=None, data=None, callbacks=[FileDiary(path), StopOnRankOne()]
    )
    on_ranks(settings.performance, train_on_rank, settings, False, False, False, None, own)
    lines = path.read_text().splitlines()
    for rank in (0, 1):
        assert [line for line in lines if line.startswith(f"{rank} step")] == [
            f"{rank} step {step}" for step in (1, 2, 3, 4)
        ]
        assert f"{rank} start 0" in lines
        assert f"{rank} end 4" in lines
    assert not any(line.startswith("1 ") and line.split()[1] in ("log", "save") for line in lines)
    assert checkpoint_of(tmp_path / "run")["step"] == 4


class FileDiary(Callback):
    def __init__(self, path):
        self.path = path

    def _note(self, hook, training):
        with self.path.open("a") as file:
            file.write(f"{training.rank} {hook} {training.step}\n")

    def on_start(self, training):
        self._note("start", training)

    def on_step(self, training, terms):
        self._note("step", training)

    def on_log(self, training, record):
        self._note("log", training)

    def on_save(self, training, path):
        self._note("save", training)

    def on_end(self, training, error):
        self._note("end", training)


class StopOnRankOne(Callback):
    def on_step(self, training, terms):
        if training.rank == 1 and training.step == 4:
            training.stop("rank 1 says so")


def follow(stopping, values, tmp_path):
    """Return after how many evaluations with these values the callback stops a training."""
    from sngan.callbacks import Training

    training = Training(config=config(tmp_path), folder=tmp_path, state=type("S", (), {"step": 0}))
    stopping.on_start(training)
    for number, value in enumerate(values, start=1):
        stopping.on_evaluate(training, {stopping.metric: value})
        if training.stop_reason:
            return number, training.stop_reason
    return None


@pytest.mark.parametrize(
    ("metric", "values", "options", "expected"),
    [
        ("w1", [3, 2, 2, 2, 2], {"patience": 3}, 5),
        ("w1", [3, 2, 2.5, 1.9, 2, 2], {"patience": 2}, 6),
        ("w1", [3, 2, 1, 0.5], {"patience": 1}, None),
        ("recall", [0.1, 0.2, 0.1, 0.1], {"patience": 2}, 4),
        ("w1", [3, 2.9, 2.8, 2.7], {"patience": 2, "least_change": 0.5}, 3),
        ("w1", [float("nan"), 1, float("nan"), float("nan")], {"patience": 2}, 4),
    ],
)
def test_early_stopping_counts_evaluations_without_a_better_value(
    metric, values, options, expected, tmp_path
):
    found = follow(EarlyStopping(metric, **options), values, tmp_path)
    assert (found and found[0]) == expected


def test_early_stopping_counts_on_from_the_records_of_a_resumed_run(tmp_path):
    records = [{"step": step, "evaluation": {"w1": 1.0}} for step in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    from sngan.callbacks import Training

    state = type("S", (), {"step": 2})
    training = Training(config=config(tmp_path), folder=tmp_path, state=state)
    stopping = EarlyStopping("w1", patience=2)
    stopping.on_start(training)
    stopping.on_evaluate(training, {"w1": 1.0})
    assert training.stop_reason == "w1 was not better than 1 in 2 evaluations"


def test_early_stopping_needs_evaluations(tmp_path):
    with pytest.raises(TrainingError, match=r"expected evaluations in training .* got none"):
        train(config(tmp_path, every=0), callbacks=[EarlyStopping("w1")])
    with pytest.raises(ValueError, match=r"metric: expected one of .* got 'w11'"):
        EarlyStopping("w11")


@pytest.fixture
def first_rank(monkeypatch):
    """Fabric reads the rank when it is imported, which may have been in a test with another one."""
    monkeypatch.setattr("lightning_fabric.utilities.rank_zero.rank_zero_only.rank", 0)


@pytest.mark.usefixtures("first_rank")
def test_a_logger_of_fabric_gets_settings_and_numbers(tmp_path):
    given = {}

    class WithSettings(CSVLogger):
        def log_hyperparams(self, params):
            given.update(params)

    logger = WithSettings(str(tmp_path / "logs"), name="mine")
    run = train(config(tmp_path), callbacks=[logger])
    assert given["batch_size"] == 8
    with (tmp_path / "logs/mine/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    records = list(iter_records(run.folder))
    # the losses and the evaluation of one step have a row each
    by_step = {}
    for row in rows:
        filled = {name: value for name, value in row.items() if value}
        by_step.setdefault(int(row["step"]), {}).update(filled)
    for record in records:
        row = by_step[record["step"]]
        if "critic_loss" in record:
            assert float(row["critic_loss"]) == pytest.approx(record["critic_loss"])
            for name, value in record["sigma"].items():
                assert float(row[f"sigma/{name}"]) == pytest.approx(value)
        for name, value in (record.get("evaluation") or {}).items():
            assert float(row[f"evaluation/{name}"]) == pytest.approx(value)
    assert isinstance(as_callbacks([logger])[0], FabricLogger)


@pytest.mark.usefixtures("first_rank")
def test_a_logger_without_a_place_for_settings_gets_the_numbers(tmp_path):
    train(config(tmp_path, steps=2), callbacks=[CSVLogger(str(tmp_path / "logs"), name="mine")])
    assert "critic_loss" in (tmp_path / "logs/mine/version_0/metrics.csv").read_text()


def test_wandb_writes_a_run_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the optional package wandb is not installed")
    from sngan.callbacks import Wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logged, plain_init = [], wandb.init

    def noted(**options):
        assert options["config"]["method.name"] == "sn"
        run = plain_init(**options)
        plain_log = run.log
        run.log = lambda numbers, step: (logged.append((step, numbers)), plain_log(numbers, step))
        return run

    monkeypatch.setattr(wandb, "init", noted)
    run = train(config(tmp_path), callbacks=[Wandb("tests", dir=str(tmp_path))])
    files = [*tmp_path.glob("wandb/offline-run-*/*.wandb")]
    assert len(files) == 1
    assert files[0].stat().st_size > 1000
    losses = [
        (step, numbers["critic_loss"]) for step, numbers in logged if "critic_loss" in numbers
    ]
    records = [record for record in iter_records(run.folder) if "critic_loss" in record]
    assert losses == [(one["step"], pytest.approx(one["critic_loss"])) for one in records]
    assert [step for step, numbers in logged if "samples" in numbers] == [0, 3, 6]
    assert [step for step, numbers in logged if "evaluation/w1" in numbers] == [3, 6]


def test_mlflow_writes_a_run_into_a_folder(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="the optional package mlflow is not installed")
    from sngan.callbacks import MLflow

    uri = (tmp_path / "tracked").as_uri()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    run = train(config(tmp_path), callbacks=[MLflow("tests", tracking_uri=uri)])
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("tests")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["method.name"] == "sn"
    records = [record for record in iter_records(run.folder) if "critic_loss" in record]
    history = client.get_metric_history(found.info.run_id, "critic_loss")
    assert [one.step for one in history] == [record["step"] for record in records]
    assert [one.value for one in history] == pytest.approx(
        [record["critic_loss"] for record in records]
    )
    assert len(client.list_artifacts(found.info.run_id, "samples")) == 3


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_package_that_is_missing_is_one_line(name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ValueError, match=rf"expected the package {name} \(pip install {name}\)"):
        as_callbacks([name])


def test_names_classes_and_objects_become_callbacks():
    one = StopAt(3)
    found = as_callbacks([one, Callback, "helpers.own_callback:make"])
    assert found[0] is one
    assert type(found[1]) is Callback
    assert type(found[2]).__name__ == "Made"
    with pytest.raises(ValueError, match=r"callbacks: expected a sngan.callbacks.Callback"):
        as_callbacks([lambda: 3])


@pytest.mark.slow
def test_a_resumed_run_may_have_other_callbacks(tmp_path):
    run = train(config(tmp_path, steps=3), callbacks=[Diary()])
    diary = Diary()
    train(replace(run.config, steps=6), resume=True, callbacks=[diary])
    assert diary.calls[0][:2] == ("start", 3)
