"""A case of the zoo: how its files are made, and the right answer of three kinds."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Read:
    """It is read as this; ``told`` is in the log, and where it is ``None`` nothing is."""

    total: int
    classes: tuple[str, ...] = ()
    labels: list[int] | None = None
    shape: tuple[int, ...] | None = None
    # the mean of each image, or all pixels of each
    means: list[float] | None = None
    tolerance: float = 1.0
    skipped: int = 0
    told: str | None = None


@dataclass(frozen=True)
class Refused:
    """It is refused in one line that matches this."""

    because: str


@dataclass(frozen=True)
class Case:
    """A name, a function that makes files and returns the SOURCE, and the answer."""

    name: str
    make: Callable[[Path], str]
    answer: Read | Refused
    options: dict[str, Any] = field(default_factory=dict)


def case(answer: Read | Refused, **options: Any) -> Callable:
    """Mark a function ``(folder) -> source`` as a case; several marks make several cases."""

    def mark(make: Callable[[Path], str | None]) -> Callable:
        cases = [*getattr(make, "cases", []), (answer, options)]
        make.cases = cases  # type: ignore[attr-defined]
        return make

    return mark


def cases_of(module: ModuleType) -> list[Case]:
    """The cases of a module, each function's from the last mark to the first."""
    found = []
    for name, make in vars(module).items():
        for number, (answer, options) in enumerate(getattr(make, "cases", [])):
            label = f"{module.__name__.rpartition('.')[2]}-{name}{f'-{number}' if number else ''}"
            found.append(Case(label, make, answer, options))
    return found


def image(level: float = 128, *, size=(8, 8), mode: str = "RGB") -> Image.Image:
    """A picture of one grey level."""
    fill = {"RGB": (int(level),) * 3, "RGBA": (int(level),) * 3 + (255,)}.get(mode, int(level))
    return Image.new(mode, size, fill)


def coded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a file of this picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(level: float = 128, **options: Any) -> bytes:
    """A PNG of one grey level in colour."""
    return coded(image(level, **options))


def put(root: Path, **files: Any) -> str:
    """Write files by path: bytes, text, or a picture's grey level; return the folder."""
    return put_all(root, files)


def put_all(root: Path, files: dict[str, Any]) -> str:
    """As ``put``, for names that are no keywords."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Image.Image):
            content.save(path)
        else:
            path.write_bytes(as_bytes(content))
    return str(root)


def as_bytes(content: Any) -> bytes:
    """Bytes as they are, text in UTF-8, a number as a PNG of this grey level."""
    if isinstance(content, bytes):
        return content
    return content.encode() if isinstance(content, str) else png(content)


def array_image(values: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """A file of an array's values as they are."""
    return coded(Image.fromarray(values), kind, **options)
