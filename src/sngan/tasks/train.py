"""Training of a GAN, with its report."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from sngan import config as configs
from sngan.config import Config
from sngan.engine.own_parts import OwnParts
from sngan.engine.train import Interrupted, TrainingError
from sngan.engine.train import train as train_networks
from sngan.runs.run import Run
from sngan.runs.weights import read_config
from sngan.tasks.report import try_live_report, try_report
from sngan.utils import consent


def train(
    config: Config,
    *,
    resume: bool = False,
    overwrite: bool = False,
    changed: bool = False,
    generator: nn.Module | None = None,
    critic: nn.Module | None = None,
    data: Any = None,
    callbacks: Iterable[Any] = (),
    allow_code: bool = False,
) -> Run:
    """Train a GAN and make a run folder at ``config.out``, with ``report.html``.

    The report is written again and again while the run goes on, and its page reloads itself. It is
    also written when the training was interrupted or failed on the way.

    Parameters
    ----------
    config
        The settings of the run.
    resume
        Go on from the newest readable checkpoint in ``config.out``.
    overwrite
        Replace a run that is at ``config.out``.
    changed
        Go on with other settings or other data, without the promise that the result is bit for bit
        that of one run.
    generator, critic
        Modules that replace those of ``config.model``; one of them may be given alone. Copies of
        them are trained. ``generator(z)`` maps noise ``(N, config.model.latent_dim)`` to samples,
        and ``critic(x)`` maps samples to scores ``(N,)`` or ``(N, 1)``. With
        ``config.model.conditional`` they are called as ``generator(z, labels)`` and ``critic(x,
        labels)``, with labels int64 ``(N,)``.
    data
        Data that replaces ``config.data.source``: an object as :func:`sngan.data.open_own` takes
        it, where the promise about resumed runs stands for each kind, or a SOURCE.
    callbacks
        Objects of :class:`sngan.callbacks.Callback`, loggers of Lightning Fabric, or names of
        ``sngan.callbacks.CALLBACKS``.
    allow_code
        Import code that only the run folder names, when a run is resumed or its settings were
        loaded. Names in settings that this process has made itself need no such consent.

    Raises
    ------
    ValueError, TrainingError, Interrupted
        If :func:`sngan.engine.train.train` raises them, or a part is nothing of its kind.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import sngan
    >>> with TemporaryDirectory() as folder:
    ...     config = sngan.Config(data="ring8", steps=1, batch_size=8, out=f"{folder}/run")
    ...     run = sngan.train(config)  # doctest: +ELLIPSIS
    step 1/1 ...
    >>> run.generate(3).shape
    torch.Size([3, 2])
    """
    own = OwnParts.of(generator=generator, critic=critic, data=data, callbacks=callbacks)
    config = own.noted_in(config)
    (consent.allow if allow_code else consent.allow_own)(configs.code_names(config))
    if allow_code and resume:
        read_config(Path(config.out), allow_code=True)
    own = replace(own, consent=consent.consent())
    try:
        run = train_networks(
            config,
            resume=resume,
            overwrite=overwrite,
            changed=changed,
            write_page=try_live_report,
            own=own,
        )
    except (TrainingError, Interrupted):
        try_report(Path(config.out))
        raise
    try_report(run.folder)
    return run
