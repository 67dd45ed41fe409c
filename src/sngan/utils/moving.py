"""Moving pictures: frames as a GIF, or as an MP4 by the optional package ``imageio-ffmpeg``."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sngan.utils.checks import require_number
from sngan.utils.endings import MOVING, require_ending
from sngan.utils.files import atomic_write
from sngan.utils.plotting import save_image

if TYPE_CHECKING:
    from PIL.Image import Image

_COLOURS = 256
_FASTEST = 50.0


def require_moving(path: Path, *, more: Iterable[str] = ()) -> str:
    """Return the ending of a moving picture, after a check that it can be written.

    Parameters
    ----------
    path
        The file.
    more
        Further endings that the caller writes by itself.

    Raises
    ------
    ValueError
        If the ending is unknown, or the package for MP4 is missing.
    """
    ending = require_ending(path, (*MOVING, *more))
    if ending == ".mp4":
        _ffmpeg()
    return ending


def require_speed(fps: float) -> None:
    """Raise ``ValueError`` unless a moving picture can have so many frames a second."""
    require_number(fps, "fps", above=0.0, maximum=_FASTEST)


def save_moving(
    frames: "Sequence[Image]", path: Path, *, fps: float, hold: Sequence[int] = ()
) -> None:
    """Write frames of one size as a GIF that repeats, or as an MP4.

    Parameters
    ----------
    frames
        The pictures.
    path
        The file.
    fps
        Frames a second; a GIF counts in hundredths of a second.
    hold
        How many times as long as others each frame is shown; left out: 1 for all.

    Raises
    ------
    ValueError
        If the ending is neither, the package for MP4 is missing, or ``fps`` is not above 0 and at
        most 50.
    """
    require_speed(fps)
    times = list(hold) or [1] * len(frames)
    if require_moving(path) == ".gif":
        _save_gif(frames, path, fps=fps, times=times)
    else:
        _save_mp4(frames, path, fps=fps, times=times)


def _save_gif(frames: "Sequence[Image]", path: Path, *, fps: float, times: Sequence[int]) -> None:
    small = [
        frame if frame.mode == "L" else frame.convert("RGB").quantize(_COLOURS) for frame in frames
    ]
    # Pillow would join frames that are equal, so their times must not depend on it
    milliseconds = [round(100 * time / fps) * 10 for time in times]
    save_image(
        small[0],
        path,
        save_all=True,
        append_images=small[1:],
        duration=milliseconds,
        loop=0,
    )


def _save_mp4(frames: "Sequence[Image]", path: Path, *, fps: float, times: Sequence[int]) -> None:
    first = _even(frames[0])
    with atomic_write(path) as temporary:
        # the package chooses the format by the ending
        film = temporary.with_name(f"{temporary.name}.mp4")
        try:
            writer = _ffmpeg().write_frames(
                str(film), first.shape[1::-1], fps=fps, macro_block_size=2, quality=8
            )
            writer.send(None)
            for frame, time in zip(frames, times, strict=True):
                for _ in range(time):
                    writer.send(_even(frame))
            writer.close()
            film.replace(temporary)
        finally:
            film.unlink(missing_ok=True)


def _even(frame: "Image") -> Any:
    """Return RGB pixels with even sides, which the usual kind of MP4 needs."""
    pixels = np.asarray(frame.convert("RGB"))
    odd = [(0, side % 2) for side in pixels.shape[:2]]
    return np.ascontiguousarray(np.pad(pixels, [*odd, (0, 0)], mode="edge"))


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            "out: expected the package `imageio-ffmpeg` for .mp4, got none; "
            "pip install 'sngan[video]', or choose .gif"
        ) from error
    return imageio_ffmpeg
