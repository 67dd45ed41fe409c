"""Tar shards and Parquet row groups of images that are recognized by their pixels."""

import io
import itertools
import tarfile
from pathlib import Path

import numpy as np
import torch

from helpers.pictures import as_tensor, encoded, photo
from sngan import data
from sngan.data import Dataset, Sampler, open_source

LENGTHS = (5, 9, 1, 7, 6, 12)


SIZE = sum(LENGTHS)


# the label of an image is its number in this list
PICTURES = [photo(number, (8, 8)) for number in range(SIZE)]


def write_tar(path: Path, members: dict[str, bytes], **options) -> None:
    with tarfile.open(path, "w", **options) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def members_of(numbers: range) -> dict[str, bytes]:
    members = {}
    for number in numbers:
        members[f"some/{number:04}.png"] = encoded(PICTURES[number])
        members[f"some/{number:04}.cls"] = f"{number}\n".encode()
    return members


def numbers_of_chunks() -> list[range]:
    ends = np.cumsum((0, *LENGTHS)).tolist()
    return [range(*pair) for pair in itertools.pairwise(ends)]


def opened(folder: Path, kind: str, cache_dir: Path, **options) -> Dataset:
    names = {"shards": f"shards:{folder}/*.tar", "parquet": f"{folder}/all.parquet"}
    return open_source(names[kind], cache="stream", cache_dir=cache_dir, **options)


def numbers(batch: data.Batch) -> list[int]:
    """Return the numbers of the images of a batch, after comparing pixels with labels."""
    images = ((batch.samples + 1) * 127.5).round().to(torch.uint8)
    for image, label in zip(images, batch.labels.tolist(), strict=True):
        assert torch.equal(image, as_tensor(PICTURES[label]))
    return batch.labels.tolist()


def plain(dataset: Dataset, batch_size: int = 8, **options) -> Sampler:
    return Sampler(dataset, batch_size, dequantize=False, **options)
