"""Animation of a run on points in the plane: samples and critic at each kept checkpoint."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sngan.models import Critic
from sngan.runs import checkpoint
from sngan.runs.critic import load_critic
from sngan.runs.layout import RunFolder
from sngan.runs.networks import noise_from_seed
from sngan.runs.run import load
from sngan.utils.checks import require
from sngan.utils.plotting import DARK, ORANGE, new_figure, rendered, save_image, square_axes

if TYPE_CHECKING:
    from PIL.Image import Image

_LIMIT = 1.25
_SURFACE, _ARROWS = 61, 13
_POINTS = 600
_STRIP = 6
_MILLISECONDS = 500
_COLOURS = 96
_log = logging.getLogger("sngan")


@dataclass(frozen=True)
class Frame:
    """One step: samples ``(n, 2)``, the critic's scores ``(h, w)`` and gradients ``(k, 2)``.

    The gradients are those at ``positions`` ``(k, 2)``.
    """

    step: int
    samples: Tensor
    scores: Tensor
    positions: Tensor
    gradients: Tensor


def animate(
    folder: str | Path, gif: str | Path, *, strip: str | Path, real: Tensor | None = None
) -> list[Frame]:
    """Draw a run on points in the plane as a GIF, and some of its frames side by side as a PNG.

    Colours and level lines show the critic's scores. Arrows show its gradient, the direction in
    which training moves samples. A conditional run is drawn for class 0 only.

    Parameters
    ----------
    folder
        A run on points in the plane that kept checkpoints on the way (``keep_every``).
    gif, strip
        The files of the animation and of the PNG.
    real
        Real points ``(n, 2)``, drawn white below the samples.

    Raises
    ------
    ValueError
        If the folder is no run, its samples are no points in the plane, or no checkpoint was kept.
    """
    folder, gif, strip = Path(folder), Path(gif), Path(strip)
    frames = read_frames(folder)
    name = load(folder).config.method.name
    # all frames have one scale, so that arrows shrink where gradients vanish
    lengths = torch.cat([frame.gradients.norm(dim=1) for frame in frames])
    scale = max(float(lengths.quantile(0.95)), 1e-12)
    pictures = [_draw(frame, name=name, scale=scale, real=real) for frame in frames]
    for path in (gif, strip):
        path.parent.mkdir(parents=True, exist_ok=True)
    small = [picture.quantize(_COLOURS) for picture in pictures]
    save_image(
        small[0],
        gif,
        save_all=True,
        append_images=small[1:],
        duration=[_MILLISECONDS] * (len(small) - 1) + [4 * _MILLISECONDS],
        loop=0,
    )
    save_image(_side_by_side(pictures).quantize(_COLOURS), strip)
    return frames


def read_frames(folder: Path) -> list[Frame]:
    """Compute a frame from each kept checkpoint, and from the last."""
    run, critic = load(folder), load_critic(folder)
    shape = run.config.model.sample_shape
    require(shape == (2,), "run", expected="a run on points in the plane", got=f"shape {shape}")
    kept = sorted(RunFolder(folder).checkpoints.glob("step-*.pt"))
    require(len(kept) > 0, "run", expected="checkpoints kept on the way (keep_every)", got="none")
    noise = noise_from_seed(_POINTS, run.config.model.latent_dim, seed=run.config.seed)
    saved: dict[int, dict[str, Any]] = {}
    for path in kept:
        try:
            state = checkpoint.read(path)
            saved[state["step"]] = state
        except ValueError as error:
            _log.warning("no frame: %s", error)
    last, _ = checkpoint.read_newest(RunFolder(folder).checkpoints)
    saved[last["step"]] = last
    # below, the critic gets no labels, so it scores all points as class 0
    labels = run.labels(_POINTS, 0) if run.config.model.num_classes else None
    return [
        _frame(saved[step], run.generator, critic, noise=noise, labels=labels)
        for step in sorted(saved)
    ]


def _frame(
    state: dict[str, Any],
    generator: nn.Module,
    critic: nn.Module,
    *,
    noise: Tensor,
    labels: Tensor | None,
) -> Frame:
    # the gradients act on the generator itself, so its moving average is not drawn
    generator.load_state_dict(state["generator"])
    critic.load_state_dict(state["critic"])
    surface, positions = _grid(_SURFACE), _grid(_ARROWS).requires_grad_()
    (gradients,) = torch.autograd.grad(_scores(critic, positions).sum(), positions)
    with torch.no_grad():
        scores = _scores(critic, surface).reshape(_SURFACE, _SURFACE)
        samples = generator(noise, labels)
    return Frame(state["step"], samples, scores, positions.detach(), gradients)


def _scores(critic: nn.Module, points: Tensor) -> Tensor:
    """Score points; a critic of packs scores packs of equal points."""
    return critic(points.repeat(1, critic.pack)) if isinstance(critic, Critic) else critic(points)


def _grid(side: int) -> Tensor:
    ticks = torch.linspace(-_LIMIT, _LIMIT, side)
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def _draw(frame: Frame, *, name: str, scale: float, real: Tensor | None) -> "Image":
    figure = new_figure(3.6, 3.8, dpi=110)
    axes = square_axes(figure, limit=_LIMIT, xticks=[], yticks=[])
    limits = (-_LIMIT, _LIMIT)
    steepness = float(frame.gradients.norm(dim=1).median())
    axes.set_title(f"{name} · step {frame.step:,} · slope {steepness:.2g}", fontsize=9)
    ticks = torch.linspace(*limits, _SURFACE).numpy()
    scores = frame.scores.numpy()
    axes.imshow(scores, extent=(*limits, *limits), origin="lower", cmap="viridis", alpha=0.75)
    if scores.max() > scores.min():
        axes.contour(ticks, ticks, scores, levels=10, colors="white", linewidths=0.5, alpha=0.8)
    arrows = frame.gradients / scale
    arrows = arrows / arrows.norm(dim=1, keepdim=True).clamp_min(1.0)
    x, y = frame.positions.T.numpy()
    axes.quiver(x, y, *arrows.T.numpy(), color=DARK, scale=14, width=0.004, alpha=0.8)
    if real is not None:
        axes.scatter(*real[:_POINTS].T.numpy(), s=5, c="white", linewidths=0)
    axes.scatter(*frame.samples.T.numpy(), s=4, c=ORANGE, linewidths=0)
    return rendered(figure).convert("RGB")


def _side_by_side(pictures: "list[Image]") -> "Image":
    """Lay evenly chosen frames out, three in a row."""
    from PIL import Image

    last = len(pictures) - 1
    count = min(_STRIP, len(pictures))
    chosen = [pictures[round(last * k / max(count - 1, 1))] for k in range(count)]
    wide, tall = chosen[0].size
    columns = min(3, count)
    sheet = Image.new("RGB", (wide * columns, tall * -(-count // columns)), "white")
    for index, picture in enumerate(chosen):
        sheet.paste(picture, (index % columns * wide, index // columns * tall))
    return sheet
