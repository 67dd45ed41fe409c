"""Run: a run folder opened again, with its settings, its generator, and samples from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from sngan.config import Config
from sngan.health import Diagnosis, diagnose
from sngan.runs.chosen import LAST
from sngan.runs.hub import local_run
from sngan.runs.labels import class_index, class_indices, default_labels, labels_of
from sngan.runs.model_file import read_model_file
from sngan.runs.networks import (
    NOISE_BLOCK,
    OwnNetworks,
    build_networks,
    draw,
    noise_blocks,
)
from sngan.runs.noise import noise_of_seeds, require_seeds, truncated
from sngan.runs.records import iter_records
from sngan.runs.weights import read_generator, read_settings
from sngan.utils.checks import require, require_count

_CPU_BATCH, _LARGEST_BATCH = 64, 1024


@dataclass(frozen=True)
class Run:
    """A run folder, its resolved settings and its averaged generator in eval mode.

    Attributes
    ----------
    folder
        The path of the run folder, or of the one file that holds the generator.
    config
        The settings, with everything that the data decided.
    generator
        The averaged generator ``(noise, labels) → samples``.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import sngan
    >>> with TemporaryDirectory() as folder:
    ...     config = sngan.Config(data="ring8", steps=1, batch_size=8, out=f"{folder}/run")
    ...     run = sngan.train(config)  # doctest: +ELLIPSIS
    step 1/1 ...
    >>> run.config.model.name, run.generate(3, seed=1).shape
    ('mlp', torch.Size([3, 2]))
    """

    folder: Path
    config: Config
    generator: nn.Module

    def generate(
        self,
        n: int,
        seed: int = 0,
        labels: Tensor | int | None = None,
        *,
        truncation: float | None = None,
    ) -> Tensor:
        """Draw ``n`` samples on the CPU; the same ``seed`` gives the same samples.

        Parameters
        ----------
        n
            The number of samples.
        seed
            The seed of the noise.
        labels
            Class indices for a conditional run: an integer tensor ``(n,)``, or one integer for all
            samples; left out: all classes that had samples in the data, in turn.
        truncation
            ψ of :func:`sngan.runs.noise.truncated`; left out: all of the normal distribution.

        Returns
        -------
        Tensor
            Images ``(n, channels, height, width)`` in [-1, 1], or points ``(n, dim)``.

        Raises
        ------
        ValueError
            If ``n`` is not a positive integer, ψ not above 0, or the labels have another shape, are
            out of range, belong to a class without samples in the data, or are given to an
            unconditional generator.
        """
        return torch.cat(list(self.batches(n, seed=seed, labels=labels, truncation=truncation)))

    @torch.no_grad()
    def batches(
        self,
        n: int,
        *,
        seed: int = 0,
        labels: Tensor | int | None = None,
        truncation: float | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Tensor]:
        """Yield the samples of :meth:`generate` in parts, for more samples than fit in memory.

        Parameters
        ----------
        n, seed, labels, truncation
            As for :meth:`generate`.
        batch_size
            The samples of a part, a multiple of 16; left out: 64 on the CPU. On a GPU the first
            part has 16 samples, and the next ones fill half of the free memory. Another size
            changes the samples only by rounding.
        """
        require_count(n, "n")
        device = next(self.generator.parameters()).device
        rows = batch_size or (_CPU_BATCH if device.type == "cpu" else NOISE_BLOCK)
        require(
            rows % NOISE_BLOCK == 0, "batch_size", expected=f"a multiple of {NOISE_BLOCK}", got=rows
        )
        noise = noise_blocks(self.config.model.latent_dim, seed=seed)
        classes = self.labels(n, labels)
        start = 0
        while start < n:
            part = slice(start, min(start + rows, n))
            drawn = torch.cat(list(islice(noise, rows // NOISE_BLOCK)))[: part.stop - start]
            given = None if classes is None else classes[part].to(device)
            yield draw(self.generator, truncated(drawn, truncation).to(device), given).cpu()
            start = part.stop
            if batch_size is None and device.type == "cuda":
                rows = _rows_that_fit(rows, device)

    @torch.no_grad()
    def of_seeds(
        self,
        seeds: Sequence[int],
        *,
        labels: Tensor | int | None = None,
        truncation: float | None = None,
    ) -> Iterator[Tensor]:
        """Yield a sample ``(1, …)`` for each seed, which does not depend on the other seeds.

        It is the first sample that :meth:`generate` draws from the seed, up to rounding, and up to
        the class if the labels are left out.

        Parameters
        ----------
        seeds
            The seeds.
        labels
            As for :meth:`generate`; left out: a class that depends on the seed only.
        truncation
            As for :meth:`generate`.

        Raises
        ------
        ValueError
            If there are no seeds, one is negative, or :meth:`generate` refuses the rest.
        """
        device = next(self.generator.parameters()).device
        classes = self.labels_of_seeds(seeds, labels)
        for index, noise in enumerate(noise_of_seeds(seeds, self.config.model.latent_dim)):
            given = None if classes is None else classes[index : index + 1].to(device)
            yield draw(self.generator, truncated(noise, truncation).to(device), given).cpu()

    def labels(self, n: int, labels: Tensor | int | None = None) -> Tensor | None:
        """Return the labels int64 ``(n,)`` of ``n`` samples; ``None`` for an unconditional run.

        Raises
        ------
        ValueError
            If :meth:`generate` refuses the labels.
        """
        return labels_of(self.config.model, n, labels)

    def labels_of_seeds(
        self, seeds: Sequence[int], labels: Tensor | int | None = None
    ) -> Tensor | None:
        """Return the labels of :meth:`of_seeds`; ``None`` for an unconditional run."""
        require_seeds(seeds)
        own = default_labels(self.config.model, seeds) if labels is None else labels
        return labels_of(self.config.model, len(seeds), own)

    def class_index(self, label: str) -> int:
        """Return the index of the class with this name. A number may stand for an index.

        Raises
        ------
        ValueError
            If there is no such class (the error lists the near names), the class had no samples in
            the data, or the run is unconditional.
        """
        return class_index(self.config.model, label)

    def class_indices(self, text: str, n: int) -> Tensor:
        """Return the classes of ``n`` samples, int64 ``(n,)``, from one name or a list of them.

        Raises
        ------
        ValueError
            If :meth:`class_index` refuses one of them, or there are more than samples.
        """
        return class_indices(self.config.model, text, n)

    def diagnose(self) -> Diagnosis:
        """Judge the health of the run from its records, as ``sngan doctor`` does.

        Raises
        ------
        ValueError
            If the run has no records.
        """
        return diagnose_folder(self.folder, self.config)


def load(
    folder: str | Path,
    *,
    checkpoint: str | int = LAST,
    device: str = "cpu",
    allow_code: bool = False,
    generator: nn.Module | None = None,
) -> Run:
    """Open a run: its folder, its ``generator.safetensors``, or ``hf:USER/NAME`` of the hub.

    The training data is not needed.

    Parameters
    ----------
    folder
        The folder of the run.
    checkpoint
        The weights: ``"last"``; ``"best"``, those with the best metric of a run with evaluations;
        or the step of a checkpoint that is still there (``keep_every`` keeps some for good).
    device
        The device of the generator.
    allow_code
        Import the code that the run's settings name, such as ``model: package.module:factory``. The
        folder may come from a stranger, so no code is imported without it, unless this process has
        been given the same name before: by ``sngan.train`` or on its command line.
    generator
        The module of a run that was trained on a module given as an object; a copy of it gets the
        trained weights.

    Raises
    ------
    ValueError
        If there is no run or no such checkpoint, its files do not fit each other, it cannot be
        downloaded, or it needs code or a module that is not given.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import sngan
    >>> with TemporaryDirectory() as folder:
    ...     config = sngan.Config(data="ring8", steps=1, batch_size=8, out=f"{folder}/run")
    ...     trained = sngan.train(config)  # doctest: +ELLIPSIS
    ...     run = sngan.load(trained.folder)
    step 1/1 ...
    >>> bool((run.generate(3) == trained.generate(3)).all())
    True
    """
    folder, own = local_run(folder), OwnNetworks(generator=generator)
    if folder.is_file():
        require(checkpoint == LAST, "checkpoint", expected="last for a file", got=checkpoint)
        config, weights = read_model_file(folder, allow_code=allow_code, own=own)
    else:
        config, (on_meta, _) = read_settings(folder, allow_code=allow_code, own=own)
        own.require("generator", config)
        weights = read_generator(on_meta, folder, checkpoint)
    network, _ = build_networks(config, own)
    network.load_state_dict(weights)
    return Run(folder, config, network.eval().requires_grad_(False).to(device))


def diagnose_folder(folder: Path, config: Config) -> Diagnosis:
    """Judge the health of a run from the records in its folder; its weights are not needed.

    Raises
    ------
    ValueError
        If the run has no records.
    """
    return diagnose(iter_records(folder), config)


def _rows_that_fit(rows: int, device: torch.device) -> int:
    """Return how many rows fit in half of the free memory, given the need of the last batch."""
    allocated = torch.cuda.memory_allocated(device)
    needed = max(torch.cuda.max_memory_allocated(device) - allocated, 1)
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - allocated
    torch.cuda.reset_peak_memory_stats(device)
    fitting = rows * (free // 2) // needed // NOISE_BLOCK * NOISE_BLOCK
    return min(max(fitting, NOISE_BLOCK), _LARGEST_BATCH)
