"""Film of a training: the sample grids that a run saved, with their steps, as a moving picture."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from sngan.runs.captions import caption_height, draw_caption
from sngan.runs.hub import local_run
from sngan.runs.saved_grids import read_inside, saved_grids
from sngan.utils.checks import require
from sngan.utils.moving import require_moving, require_speed, save_moving

if TYPE_CHECKING:
    from PIL.Image import Image

FPS = 4.0
"""The usual frames a second."""

_MOST_FRAMES = 300
_HOLD = 6


def film(folder: str | Path, out: Path, *, fps: float = FPS) -> int:
    """Write a run's saved sample grids as a film; return the number of frames.

    The pictures come from the same noise, so one place shows one sample as it gets better. Runs on
    points have scatters in front of the data. At most 300 pictures are shown, evenly chosen.

    Parameters
    ----------
    folder
        The run, its folder or a name of the hub.
    out
        ``FILE.gif`` or ``FILE.mp4``.
    fps
        Frames a second; the last frame stays six times as long.

    Raises
    ------
    ValueError
        If the run has no saved pictures, the ending is unknown, or ``fps`` is out of range.
    """
    require_moving(out)
    require_speed(fps)
    place = local_run(folder)
    require(place.is_dir(), "run", expected="a run folder with saved pictures", got=folder)
    names = saved_grids(place)
    if len(names) > _MOST_FRAMES:
        last = len(names) - 1
        names = [names[round(k * last / (_MOST_FRAMES - 1))] for k in range(_MOST_FRAMES)]
    frames = [(step, picture) for step, name in names if (picture := _read(place, name))]
    require(len(frames) > 0, "run", expected="a run with pictures in samples/", got=folder)
    size = frames[-1][1].size
    out.parent.mkdir(parents=True, exist_ok=True)
    pictures = [_frame(picture, f"step {step:,}", size=size) for step, picture in frames]
    save_moving(pictures, out, fps=fps, hold=[1] * (len(pictures) - 1) + [_HOLD])
    return len(pictures)


def _read(folder: Path, name: str) -> "Image | None":
    from PIL import Image, UnidentifiedImageError

    content = read_inside(folder, name)
    try:
        picture = Image.open(io.BytesIO(content or b""), formats=["PNG"])
        return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def _frame(picture: "Image", caption: str, *, size: tuple[int, int]) -> "Image":
    """Return a picture of this size, with its caption below it."""
    from PIL import Image

    width, height = size
    frame = Image.new(
        picture.mode, (width, height + caption_height([caption])), _GREY[picture.mode]
    )
    shown = picture if picture.size == size else picture.resize(size)
    frame.paste(shown, (0, 0))
    draw_caption(frame, caption, (0, height), width=width)
    return frame


_GREY = {"L": 64, "RGB": (64, 64, 64)}
