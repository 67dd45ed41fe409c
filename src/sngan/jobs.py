"""Whole jobs, the same from Python and from the command line."""

import io
import logging
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sngan import _ranks as ranks
from sngan import data, training
from sngan._checks import require, require_count
from sngan.config import Config
from sngan.console import counting
from sngan.report import COMPARISON, write_comparison, write_report
from sngan.run import Run, load, load_critic, require_own_settings
from sngan.runs.layout import RunFolder
from sngan.runs.names import CONFIG, LIPSCHITZ
from sngan.state import open_dataset
from sngan.utils.files import write_bytes
from sngan.utils.text import first_line

if TYPE_CHECKING:
    from sngan.lipschitz import LipschitzBounds
    from sngan.metrics import Result

_SAMPLES = 256
_log = logging.getLogger("sngan")


def train(config: Config, *, resume: bool = False, overwrite: bool = False) -> Run:
    """Train a GAN and leave a whole run folder at ``config.out``, ``report.html`` included.

    See :func:`sngan.training.train` for the arguments and what is raised; a run that was
    interrupted or that failed on the way gets its report too.
    """
    try:
        run = training.train(config, resume=resume, overwrite=overwrite)
    except (training.TrainingError, training.Interrupted):
        _report(Path(config.out))
        raise
    _report(run.folder)
    return run


def report(folder: str | Path) -> Path:
    """Write the page of a run or of a comparison again, from its saved records; return its path.

    Raises
    ------
    ValueError
        The folder is neither of them: another program's ``config.yaml`` makes no run of a folder.
        Or the settings were changed, and are not those of the weights.
    """
    folder = Path(folder)
    if (folder / COMPARISON).is_file():
        return write_comparison(folder)
    has_settings = (folder / CONFIG).is_file()
    require(has_settings, "run", expected=f"a run folder with {CONFIG}", got=folder)
    # a list or settings of sngan's own: a run that has just begun has no more
    is_run = RunFolder(folder).is_run() or RunFolder(folder).is_begun()
    require(is_run, "run", expected="a folder that sngan made", got=f"{folder}, another program's")
    require_own_settings(folder)
    return write_report(folder)


def _report(folder: Path) -> None:
    # a run can fail before it has a folder
    if not ranks.is_first() or not (folder / CONFIG).is_file():
        return
    try:
        write_report(folder)
    except (OSError, ValueError) as error:
        # neither the end of a training nor its own error is hidden by a page
        _log.warning("no report: %s", first_line(error))


def lipschitz(
    folder: str | Path, *, lower: bool = True, progress: bool = False
) -> "LipschitzBounds":
    """Bound the Lipschitz constant of a run's critic, and draw it into ``RUN/lipschitz/``.

    ``layers.png`` has each layer's norm and singular values; ``cone.png`` the critic along its
    steepest direction, inside the double cone of the proved slope. The lower bound is searched for
    from the run's own samples and noise, so the training data is not needed. Without ``lower``
    there is no search and no ``cone.png``; ``progress`` draws a bar on a terminal.

    Raises
    ------
    ValueError
        The folder is no run, or has no readable checkpoint.
    """
    return lipschitz_with_pictures(folder, lower=lower, progress=progress)[0]


def lipschitz_with_pictures(
    folder: str | Path, *, lower: bool = True, progress: bool = False
) -> "tuple[LipschitzBounds, list[Path]]":
    """Do what :func:`lipschitz` does; return also the pictures that it has written."""
    from sngan.lipschitz import lipschitz_bounds

    run, critic = load(folder), load_critic(folder)
    shape = run.config.model.sample_shape
    assert shape is not None
    data = run.generate(_SAMPLES) if lower else None
    bounds = lipschitz_bounds(critic, shape, data=data, lower=lower, progress=progress)
    try:
        return bounds, _draw(bounds, critic, RunFolder(Path(folder)), lower=lower)
    except (OSError, ValueError) as error:
        # the figures were found all the same
        _log.warning("no pictures: %s", first_line(error))
        return bounds, []


def _draw(
    bounds: "LipschitzBounds", critic: torch.nn.Module, folder: RunFolder, *, lower: bool
) -> list[Path]:
    from sngan.lipschitz import plot_cone, plot_layers

    layers, cone = (_own_picture(folder, name) for name in ("layers.png", "cone.png"))
    picture = io.BytesIO()
    plot_layers(bounds, picture)
    write_bytes(layers, picture.getvalue())
    if bounds.reasons or not lower:
        return [layers]
    critic = critic.double()
    point = bounds.witness.requires_grad_()
    (direction,) = torch.autograd.grad(critic(point[None]).sum(), point)
    picture = io.BytesIO()
    plot_cone(critic, point.detach(), direction, bounds.upper, picture)
    write_bytes(cone, picture.getvalue())
    return [layers, cone]


def _own_picture(folder: RunFolder, name: str) -> Path:
    if not folder.files.exists():
        folder.adopt()
    path = folder.files.claim(f"{LIPSCHITZ}/{name}")
    path.parent.mkdir(exist_ok=True)
    return path


def evaluate(
    folder: str | Path,
    *,
    source: str | None = None,
    samples: int | None = None,
    extractor: str | None = None,
    weights: str | None = None,
    seed: int = 0,
) -> "Result":
    """Measure a run's samples against real ones: its own data, or those of ``source``.

    What is left out is as the run's settings have it (its group ``evaluation``).

    Raises
    ------
    ValueError
        The folder is no run, the data is of another shape than the run's samples, too few samples
        for a metric, weights that cannot be had.
    """
    from sngan.metrics import Evaluator

    run = load(folder)
    settings = run.config.evaluation
    chosen = run.config.data
    if source is not None:
        # how the run's own data is kept need not fit another
        chosen = replace(chosen, source=source, cache="auto")
    with counting("decoding", file=sys.stderr) as progress:
        dataset = open_dataset(chosen, progress)
    require(
        dataset.sample_shape == run.config.model.sample_shape,
        "data",
        expected=f"samples of shape {run.config.model.sample_shape}, as the run's",
        got=dataset.sample_shape,
    )
    n = settings.samples if samples is None else samples
    with counting("evaluating", file=sys.stderr) as progress:
        evaluator = Evaluator(
            dataset,
            extractor=settings.extractor if extractor is None else extractor,
            samples=n,
            seed=seed,
            weights=settings.weights if weights is None else weights,
            split=chosen.split,
            progress=progress,
        )
        return evaluator(run.generate(n, seed=seed))


@dataclass(frozen=True)
class Distance:
    """What is known of the Wasserstein distance of two data sets, in units of their samples.

    ``w1``, its bracket ``lower ≤ W1 ≤ upper`` and ``gap`` are exact for ``n`` and ``m`` samples
    drawn from the two; ``sliced`` and ``sliced_lower ≤ W1`` are of all ``sizes`` that were read,
    10,000 of what is streamed.
    """

    sources: tuple[str, str]
    sizes: tuple[int, int]
    n: int
    m: int
    dimension: int
    w1: float
    lower: float
    upper: float
    gap: float
    sliced: float
    sliced_lower: float

    def table(self) -> str:
        """Plain text, a figure a line."""
        lines = [
            f"{self.sources[0]} ({self.sizes[0]:,}) against {self.sources[1]} ({self.sizes[1]:,}), "
            f"in {self.dimension} dimensions",
            f"W1 = {self.w1:.6g}  exact for {self.n:,} and {self.m:,} of them",
            f"     in [{self.lower:.9g}, {self.upper:.9g}], duality gap {self.gap:.2g}",
            f"sliced W1 = {self.sliced:.6g} of all that were read; their W1 is at least "
            f"{self.sliced_lower:.6g}",
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Data for JSON."""
        return asdict(self)


def distance(source_x: str, source_y: str, *, n: int = 2000, seed: int = 0) -> Distance:
    """Measure the Wasserstein distance of two SOURCEs, exactly on ``n`` samples of each.

    The ground distance is Euclidean; images count as vectors of pixels in [−1, 1].

    Raises
    ------
    ValueError
        A source that is none, samples of different shapes, a bad ``n``.
    """
    # a second of import time that training should not pay
    from sngan.transport import sliced_wasserstein, wasserstein

    require_count(n, "n")
    require_count(seed, "seed", minimum=0)
    left, right = _open(source_x, "source_x"), _open(source_y, "source_y")
    require(
        left.sample_shape == right.sample_shape,
        "source_y",
        expected=f"samples of shape {left.sample_shape}, as in {source_x}",
        got=f"{right.sample_shape} in {source_y}",
    )
    x, y = (_vectors(dataset, most=n, seed=seed) for dataset in (left, right))
    exact = wasserstein(x, y)
    sliced = sliced_wasserstein(
        *(_vectors(dataset, most=len(dataset)) for dataset in (left, right))
    )
    return Distance(
        sources=(source_x, source_y),
        sizes=(len(left), len(right)),
        n=len(x),
        m=len(y),
        dimension=x.shape[1],
        w1=exact.distance,
        lower=exact.lower,
        upper=exact.upper,
        gap=exact.gap,
        sliced=sliced.distance,
        sliced_lower=sliced.lower,
    )


def _open(source: str, name: str) -> data.Dataset:
    # standard output is for the answer
    with counting("decoding", file=sys.stderr) as progress:
        try:
            return data.open_source(source, progress=progress)
        except ValueError as error:
            # the source's own messages name the setting of training
            raise ValueError(f"{name}: {str(error).partition(': ')[2]}") from error


def _vectors(dataset: data.Dataset, *, most: int, seed: int = 0) -> Tensor:
    picked = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:most]
    return dataset.values(picked).flatten(1)
