"""Setup of a run: everything that is resolved before the run folder is touched."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch

from sngan import config as configs
from sngan import data
from sngan.config import Config, DataConfig
from sngan.config.presets import with_preset
from sngan.data.survey import Opened
from sngan.distributed import collectives
from sngan.engine import resuming
from sngan.engine.evaluation import PeriodicEvaluation
from sngan.engine.memory import require_memory
from sngan.engine.own_parts import OwnParts
from sngan.engine.resolve import resolve_config
from sngan.engine.starting_weights import require_starting_weights
from sngan.losses import LOSSES
from sngan.penalties import PENALTIES
from sngan.runs.checkpoint import FoundCheckpoint
from sngan.runs.managed import ManagedRunFolder
from sngan.utils.checks import require
from sngan.utils.families import FamilyDefault
from sngan.utils.progress import counting
from sngan.utils.quiet import quiet_log


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that can begin: its settings fit its data, and its checkpoint fits both.

    Attributes
    ----------
    config
        The settings, with everything filled in.
    dataset
        The opened data.
    checkpoint
        The checkpoint that a resumed run goes on from.
    evaluation
        The evaluation during training, on rank 0 of a run that has one.
    changed
        Whether the checkpoint may have other settings and other data.
    keeps_cadence
        Whether a resumed run logs as often as before, so that missing records can be counted.
    unresolved
        The settings before the data and the recipe have filled them in.
    own
        The parts that were given as objects.
    """

    config: Config
    dataset: data.Dataset
    checkpoint: FoundCheckpoint | None
    evaluation: PeriodicEvaluation | None
    changed: bool
    keeps_cadence: bool
    unresolved: Config
    own: OwnParts


def prepare(
    config: Config,
    folder: ManagedRunFolder,
    device: torch.device,
    *,
    resume: bool,
    overwrite: bool,
    changed: bool = False,
    own: OwnParts | None = None,
) -> Plan:
    """Resolve the settings, open the data and find the checkpoint; change nothing on the disk.

    Parameters
    ----------
    config
        The settings.
    folder
        The run folder.
    device
        The device of the training, whose memory must hold the networks and a batch.
    resume
        Whether the run in the folder goes on.
    overwrite
        Whether a new run may replace the run in the folder.
    changed
        Whether a resumed run may have other settings and other data.
    own
        Parts that are given as objects.

    Raises
    ------
    ValueError
        If a setting, the data, the folder or its checkpoints do not fit.
    """
    own = own or OwnParts()
    folder.check(resume=resume, overwrite=overwrite)
    _require_hours(config, resume=resume)
    on_opened, keeps_cadence = None, True
    if resume:
        path = folder.settings_path()
        config = configs.with_own_settings(config, path)
        keeps_cadence = configs.load(path).log_every == config.log_every
        on_opened = resuming.require_resumable(folder, config, changed=changed, own=own)
    _require_parts(config)
    dataset = own.open_data(config.data)
    if dataset is None:
        # a run that goes on with its own data said at its start how it is read
        quiet = quiet_log() if resume and not changed else nullcontext()
        with counting("decoding") as progress, quiet:
            dataset = open_dataset(config.data, progress, on_opened=on_opened)
    if not resume:
        side = max(dataset.sample_shape[1:]) if dataset.is_images else None
        config = with_preset(config, side=side, is_on_cpu=device.type == "cpu")
    unresolved, config = config, resolve_config(config, dataset, own.networks)
    require_memory(config, device, own.networks)
    if not resume:
        require_starting_weights(config, own.networks)
    is_evaluating = config.evaluation.every and collectives.is_rank_zero()
    return Plan(
        config=config,
        dataset=dataset,
        checkpoint=resuming.find(folder, config, dataset, changed=changed, own=own.networks)
        if resume
        else None,
        changed=changed,
        keeps_cadence=keeps_cadence,
        evaluation=PeriodicEvaluation(config, dataset) if is_evaluating else None,
        unresolved=unresolved,
        own=own,
    )


def with_hours(plan: Plan, measure: Callable[[Plan], Config]) -> Plan:
    """Return a plan whose steps fit into ``hours``; settings that depend on the steps follow.

    Parameters
    ----------
    plan
        The plan of a new run.
    measure
        A function that returns the settings with ``steps`` in place of ``hours``. All ranks call
        it.
    """
    if plan.unresolved.hours is None:
        return plan
    config = measure(plan)
    return replace(
        plan, unresolved=config, config=resolve_config(config, plan.dataset, plan.own.networks)
    )


def _require_hours(config: Config, *, resume: bool) -> None:
    """Raise unless hours are left out, or decide the steps of a new run."""
    if config.hours is not None:
        got = f"{config.hours:g}"
        require(not resume, "hours", expected="none on a resume, where steps may change", got=got)
        is_open = isinstance(config.steps, FamilyDefault)
        require(is_open, "hours", expected="none where steps is given", got=got)


def _require_parts(config: Config) -> None:
    """Import the loss and the penalty, so that an error in one of them comes before a run."""
    assert LOSSES[config.method.loss]
    if config.method.penalty is not None:
        assert PENALTIES[config.method.penalty]


def open_dataset(
    settings: DataConfig,
    progress: Callable[[int, int], None],
    *,
    on_opened: Callable[[Opened], None] | None = None,
) -> data.Dataset:
    """Open the data that settings name.

    Parameters
    ----------
    settings
        The source, and how it is read.
    progress
        ``progress(done, total)`` is called often.
    on_opened
        Gets the source when it is found, before its samples are read.
    """
    return data.open_source(
        settings.source,
        resolution=settings.resolution,
        channels=settings.channels,
        split=settings.split,
        labels=settings.labels,
        background=settings.background,
        fit=settings.fit,
        reading=settings.reading,
        cache=settings.cache,
        workers=settings.workers,
        progress=progress,
        on_opened=on_opened,
    )
