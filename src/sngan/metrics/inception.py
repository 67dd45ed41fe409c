"""InceptionV3 with the weights of the Fréchet Inception Distance, as published for TensorFlow.

It is the network of Szegedy et al. 2016, arXiv:1512.00567, in the variant of the TensorFlow graph
of December 2015. This has 1,008 classes, average pools that leave the padding out of the mean, and
a max pool in the last block.
"""

import hashlib
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.utils.cache import folder as cache_folder
from sngan.utils.checks import require
from sngan.utils.text import first_line

URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
CHECKSUM = "6726825d"  # the first digits of the file's SHA-256, which its name contains
FEATURES, CLASSES, SIDE = 2048, 1008, 299

Size = int | tuple[int, int]


class Conv(nn.Module):
    """Convolution without a bias, batch normalization, ReLU."""

    def __init__(
        self, channels: int, out: int, kernel: Size, *, stride: int = 1, padding: str = "valid"
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, h, w)`` to ``(n, out, …)``."""
        return F.relu(self.bn(self.conv(x)))


class Step(NamedTuple):
    """A convolution of a block: its name in the weights file, and the name of its input.

    With stride 1 it keeps the size; with stride 2 it has no padding.
    """

    name: str
    source: str
    out: int
    kernel: Size
    stride: int = 1


_POOLS = {
    "average": partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False),
    "max": partial(F.max_pool2d, kernel_size=3, stride=1, padding=1),
    "reduce": partial(F.max_pool2d, kernel_size=3, stride=2),
}


class Mixed(nn.Module):
    """A block of convolutions, each of which reads the input, the pooled input or another's output.

    The outputs that no convolution reads are concatenated. If no convolution reads the pooled
    input, it comes last.

    Parameters
    ----------
    channels
        The channels of the input.
    steps
        The convolutions.
    pool
        The kind of pooling: ``average``, ``max`` or ``reduce``, which halves the size.
    """

    def __init__(self, channels: int, steps: list[Step], *, pool: str) -> None:
        super().__init__()
        widths = {"x": channels, "pool": channels}
        for step in steps:
            padding = "same" if step.stride == 1 else "valid"
            conv = Conv(
                widths[step.source], step.out, step.kernel, stride=step.stride, padding=padding
            )
            self.add_module(step.name, conv)
            widths[step.name] = step.out
        read = {step.source for step in steps}
        self._sources = {step.name: step.source for step in steps}
        self._ends = [name for name in (*self._sources, "pool") if name not in read]
        self._pool = _POOLS[pool]
        self.out = sum(widths[name] for name in self._ends)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, h, w)`` to ``(n, self.out, …)``."""
        values = {"x": x, "pool": self._pool(x)}
        for name, source in self._sources.items():
            values[name] = self.get_submodule(name)(values[source])
        return torch.cat([values[name] for name in self._ends], 1)


def _block_a(pooled: int) -> list[Step]:
    return [
        Step("branch1x1", "x", 64, 1),
        Step("branch5x5_1", "x", 48, 1),
        Step("branch5x5_2", "branch5x5_1", 64, 5),
        Step("branch3x3dbl_1", "x", 64, 1),
        Step("branch3x3dbl_2", "branch3x3dbl_1", 96, 3),
        Step("branch3x3dbl_3", "branch3x3dbl_2", 96, 3),
        Step("branch_pool", "pool", pooled, 1),
    ]


_BLOCK_B = [
    Step("branch3x3", "x", 384, 3, stride=2),
    Step("branch3x3dbl_1", "x", 64, 1),
    Step("branch3x3dbl_2", "branch3x3dbl_1", 96, 3),
    Step("branch3x3dbl_3", "branch3x3dbl_2", 96, 3, stride=2),
]


def _block_c(width: int) -> list[Step]:
    return [
        Step("branch1x1", "x", 192, 1),
        Step("branch7x7_1", "x", width, 1),
        Step("branch7x7_2", "branch7x7_1", width, (1, 7)),
        Step("branch7x7_3", "branch7x7_2", 192, (7, 1)),
        Step("branch7x7dbl_1", "x", width, 1),
        Step("branch7x7dbl_2", "branch7x7dbl_1", width, (7, 1)),
        Step("branch7x7dbl_3", "branch7x7dbl_2", width, (1, 7)),
        Step("branch7x7dbl_4", "branch7x7dbl_3", width, (7, 1)),
        Step("branch7x7dbl_5", "branch7x7dbl_4", 192, (1, 7)),
        Step("branch_pool", "pool", 192, 1),
    ]


_BLOCK_D = [
    Step("branch3x3_1", "x", 192, 1),
    Step("branch3x3_2", "branch3x3_1", 320, 3, stride=2),
    Step("branch7x7x3_1", "x", 192, 1),
    Step("branch7x7x3_2", "branch7x7x3_1", 192, (1, 7)),
    Step("branch7x7x3_3", "branch7x7x3_2", 192, (7, 1)),
    Step("branch7x7x3_4", "branch7x7x3_3", 192, 3, stride=2),
]
_BLOCK_E = [
    Step("branch1x1", "x", 320, 1),
    Step("branch3x3_1", "x", 384, 1),
    Step("branch3x3_2a", "branch3x3_1", 384, (1, 3)),
    Step("branch3x3_2b", "branch3x3_1", 384, (3, 1)),
    Step("branch3x3dbl_1", "x", 448, 1),
    Step("branch3x3dbl_2", "branch3x3dbl_1", 384, 3),
    Step("branch3x3dbl_3a", "branch3x3dbl_2", 384, (1, 3)),
    Step("branch3x3dbl_3b", "branch3x3dbl_2", 384, (3, 1)),
    Step("branch_pool", "pool", 192, 1),
]
_BLOCKS = {
    "Mixed_5b": (_block_a(32), "average"),
    "Mixed_5c": (_block_a(64), "average"),
    "Mixed_5d": (_block_a(64), "average"),
    "Mixed_6a": (_BLOCK_B, "reduce"),
    "Mixed_6b": (_block_c(128), "average"),
    "Mixed_6c": (_block_c(160), "average"),
    "Mixed_6d": (_block_c(160), "average"),
    "Mixed_6e": (_block_c(192), "average"),
    "Mixed_7a": (_BLOCK_D, "reduce"),
    "Mixed_7b": (_BLOCK_E, "average"),
    "Mixed_7c": (_BLOCK_E, "max"),
}


class InceptionV3(nn.Sequential):
    """InceptionV3 from images to pooled features, with the module names of the weights file."""

    def __init__(self) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            Conv2d_1a_3x3=Conv(3, 32, 3, stride=2),
            Conv2d_2a_3x3=Conv(32, 32, 3),
            Conv2d_2b_3x3=Conv(32, 64, 3, padding="same"),
            MaxPool_1=nn.MaxPool2d(3, 2),
            Conv2d_3b_1x1=Conv(64, 80, 1),
            Conv2d_4a_3x3=Conv(80, 192, 3),
            MaxPool_2=nn.MaxPool2d(3, 2),
        )
        width = 192
        for name, (steps, pool) in _BLOCKS.items():
            layers[name] = block = Mixed(width, steps, pool=pool)
            width = block.out
        layers["fc"] = nn.Linear(width, CLASSES)
        super().__init__(layers)

    def forward(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Return features ``(n, 2048)`` and logits ``(n, 1008)`` without their bias.

        ``input`` are images ``(n, 3, h, w)`` of values 0 … 255. The bias of the logits is left out
        as in the original code of the Inception Score.
        """
        *body, head = self.children()
        x = tensorflow_resize(input.float(), SIDE)
        x = (x - 128) / 128
        for layer in body:
            x = layer(x)
        features = x.mean((2, 3))
        return features, features @ head.get_parameter("weight").T


def tensorflow_resize(images: Tensor, side: int) -> Tensor:
    """Resize ``(n, c, h, w)`` bilinearly as TensorFlow 1 does.

    Row i of the result lies at ``i·h/side`` of the source: corners are not aligned, and there is no
    offset of half a pixel and no antialiasing.
    """
    rows, columns = images.shape[2:]
    low, high, share = _taps(columns, side, images.device)
    images = images[..., low] + (images[..., high] - images[..., low]) * share
    low, high, share = _taps(rows, side, images.device)
    top, bottom = images[:, :, low], images[:, :, high]
    return top + (bottom - top) * share[:, None]


def _taps(length: int, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The two source pixels of each pixel, and the share of the second, in TensorFlow's float32."""
    scale = torch.tensor(length / side, dtype=torch.float32)
    position = torch.arange(side, dtype=torch.float32) * scale
    low = position.long()
    high = (low + 1).clamp_max(length - 1)
    return low.to(device), high.to(device), (position - low).to(device)


def load_inception(weights: Path | None = None) -> tuple[InceptionV3, str]:
    """Return the network with its weights, and the SHA-256 of their file.

    Parameters
    ----------
    weights
        A file in the format of torch-fidelity's. ``None`` downloads that file on first use, checks
        its SHA-256 and keeps it in the user's cache folder.

    Raises
    ------
    ValueError
        If the file does not exist, the download fails or is damaged, or names or shapes of the
        weights differ.
    """
    path = _download() if weights is None else Path(weights).expanduser()
    require(path.is_file(), "weights", expected="a file of Inception's weights", got=str(path))
    with torch.random.fork_rng(devices=[]):
        network = InceptionV3()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        missing, unexpected = network.load_state_dict(state, strict=False)
    except Exception as error:
        # the unpickler may raise any exception on a damaged file
        raise ValueError(
            f"weights: expected Inception's weights in {path}, got {first_line(error)}"
        ) from error
    # converted weights lack the counters of batches, which only training uses
    other = [name for name in missing if not name.endswith("num_batches_tracked")] + unexpected
    require(not other, "weights", expected="the names of torch-fidelity's file", got=other[:3])
    return network.eval().requires_grad_(False), _sha256(path)


def _download() -> Path:
    path = cache_folder() / "weights" / URL.rpartition("/")[2]
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # torch downloads to a temporary file, and renames it once the checksum agrees
            torch.hub.download_url_to_file(URL, str(path), hash_prefix=CHECKSUM, progress=False)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"weights: expected a path to Inception's weights, or a connection to {URL}; "
                f"got {error}"
            ) from error
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
