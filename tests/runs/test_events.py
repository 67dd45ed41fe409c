"""TensorBoard events: tags in groups, the settings as text, hyperparameters with final metrics."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import (
    EXPERIMENT_TAG,
    SESSION_START_INFO_TAG,
    parse_experiment_plugin_data,
    parse_session_start_info_plugin_data,
)

from helpers.training import TINY
from sngan import Config
from sngan import config as configs
from sngan.runs.events import Events
from sngan.runs.log_record import LogRecord
from sngan.utils.plain import flatten

RECORD = {
    "step": 5, "seconds": 1.0, "critic_loss": 2.0, "generator_gradient_norm": 0.5, "lr": 1e-4,
    "sigma": {"stages.0": 1.5}, "health": {"spread": 0.5}, "w1": 3.0, "augment_p": 0.2,
    "modes": 4,
}  # fmt: skip


def read(folder):
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_every_figure_of_a_record_has_a_group(tmp_path):
    events = Events(tmp_path)
    numbers = dict.fromkeys(LogRecord.__dataclass_fields__, 1.0)
    events.add(numbers | {"step": 1, "sigma": {"a": 1.0}, "health": {"a": 1.0},
                          "evaluation": {"a": 1.0}, "not_finite": {"a": 1.0}})  # fmt: skip
    events.close()
    tags = read(tmp_path).Tags()["scalars"]
    assert all("/" in tag for tag in tags)
    assert not any(tag.startswith("other/") for tag in tags)
    assert {"spectral/a", "health/a", "metrics/a", "not_finite/a"} <= set(tags)


def test_tags_are_grouped(tmp_path):
    events = Events(tmp_path)
    events.add(RECORD)
    events.add({"step": 5, "evaluation": {"frechet": 7.0, "w1": None}})
    events.close()
    found = read(tmp_path)
    assert set(found.Tags()["scalars"]) == {
        *("time/seconds", "loss/critic_loss", "gradient/generator_gradient_norm", "schedule/lr"),
        *("spectral/stages.0", "health/spread", "transport/w1", "augment/augment_p"),
        *("modes/modes", "metrics/frechet", "metrics/w1"),
    }
    (frechet,) = found.Scalars("metrics/frechet")
    assert (frechet.step, frechet.value) == (5, 7.0)


def test_settings_are_text_and_hyperparameters_with_metrics(tmp_path):
    settings = flatten(configs.to_dict(Config(data="a|b\nc", model=TINY)))
    events = Events(tmp_path, settings=settings)
    events.add({"step": 5, "evaluation": {"frechet": 7.0}})
    events.close()
    found = read(tmp_path)
    (text,) = found.Tensors("settings/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    assert "| data.source | a\\|b c |" in lines
    assert "| method.n_critic | 5 |" in lines
    assert len(lines) == 2 + len(settings)
    metadata = found.SummaryMetadata
    experiment = parse_experiment_plugin_data(metadata(EXPERIMENT_TAG).plugin_data.content)
    assert [info.name.tag for info in experiment.metric_infos] == ["metrics/frechet"]
    started = metadata(SESSION_START_INFO_TAG).plugin_data.content
    values = parse_session_start_info_plugin_data(started).hparams
    assert values["method.n_critic"].number_value == 5
    assert values["method.loss"].string_value == "hinge"
    # the run folder holds one file and no folder of its own for hyperparameters
    assert [path.is_file() for path in tmp_path.iterdir()] == [True]


@pytest.mark.parametrize("settings", [None, {}])
def test_without_settings_there_is_neither(tmp_path, settings):
    events = Events(tmp_path, settings=settings)
    events.add(RECORD)
    events.close()
    assert read(tmp_path).Tags()["tensors"] == []


def test_a_run_without_evaluations_has_its_hyperparameters(tmp_path):
    events = Events(tmp_path, settings={"steps": 5, "name": None, "betas": [0.0, 0.9]})
    events.close()
    content = read(tmp_path).SummaryMetadata(SESSION_START_INFO_TAG).plugin_data.content
    values = parse_session_start_info_plugin_data(content).hparams
    assert values["betas"].string_value == "[0.0, 0.9]"
