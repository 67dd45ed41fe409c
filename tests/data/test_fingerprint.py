"""Fingerprints tell a changed data set from a copy of the same one."""

import io
import json
import os
import shutil
import tarfile
import time
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from sngan.data import Dataset, changes, open_source


def png(seed: int, side: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def pets(tmp_path):
    for number in range(6):
        path = tmp_path / "pets" / ("cat" if number < 3 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    return tmp_path / "pets"


def of(source, **options) -> dict:
    found = open_source(str(source), **options).fingerprint()
    assert json.loads(json.dumps(found)) == found
    return found


def test_a_copy_with_other_times_elsewhere_is_the_same_data(pets, tmp_path):
    before = of(pets)
    copy = tmp_path / "elsewhere" / "copied"
    shutil.copytree(pets, copy)
    for file in copy.rglob("*.png"):
        os.utime(file, (1, 1))
    assert changes(before, of(copy)) == []
    options = {"cache": "disk", "cache_dir": tmp_path / "cache"}
    # decoded, then from the cache
    assert of(pets, **options) == of(pets, **options) == before


def swap_bytes(pets):
    path = pets / "cat" / "1.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    # the image can still be read, only its final checksum is wrong
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: (p / "cat" / "9.png").write_bytes(png(9)), "the number of samples (6, now 7)"),
        (lambda p: (p / "dog" / "5.png").unlink(), "the number of files (6, now 5)"),
        (lambda p: (p / "dog" / "5.png").rename(p / "cat" / "5.png"), "names of files"),
        (lambda p: (p / "dog" / "5.png").write_bytes(png(5, 9)), "sizes of files"),
        (swap_bytes, "the content of files"),
        (lambda p: (p / "dog").rename(p / "wolf"), "labels or class names"),
    ],
)
def test_changed_files_are_named(pets, change, words):
    before = of(pets)
    change(pets)
    assert words in changes(before, of(pets))


def test_a_part_that_an_older_fingerprint_lacks_is_not_compared():
    assert changes({"samples": 3}, {"samples": 3, "names": "x"}) == []


def write_sources(folder, seed: int) -> list[str]:
    numbers = range(seed, seed + 12)
    np.savez(folder / "a.npz", images=np.stack([np.full((8, 8), n, np.uint8) for n in numbers]))
    np.save(folder / "a.npy", np.random.default_rng(seed).normal(size=(5, 2)))
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for position, number in enumerate(numbers):
            archive.writestr(f"{position}.png", png(number))
    with tarfile.open(folder / "a.tar", "w") as tar:
        for position, number in enumerate(numbers):
            member = tarfile.TarInfo(f"{position}.png")
            member.size = len(png(number))
            tar.addfile(member, io.BytesIO(png(number)))
    return [
        *(str(folder / f"a.{kind}") for kind in ("npz", "npy", "zip")),
        f"shards:{folder}/a.tar",
    ]


def test_every_kind_of_source_has_one(tmp_path):
    for name in ("one", "same", "other"):
        (tmp_path / name).mkdir()
    one, same, other = (
        write_sources(tmp_path / name, seed)
        for name, seed in (("one", 1), ("same", 1), ("other", 50))
    )
    for sources in zip(one, same, other, strict=True):
        found = [of(source, cache_dir=tmp_path / "cache") for source in sources]
        assert changes(found[0], found[1]) == []
        assert "the content of files" in changes(found[0], found[2])


@pytest.mark.parametrize("name", ["digits", "stacked-digits", "ring8"])
def test_embedded_sources_agree_with_themselves(name):
    assert changes(of(name), of(name)) == []


def test_tensors_without_files_are_told_apart():
    samples = torch.arange(200.0)[:, None]
    changed = samples.clone()
    changed[0] = 5
    before = Dataset("mine", samples).fingerprint()
    assert changes(before, Dataset("mine", samples.clone()).fingerprint()) == []
    assert changes(before, Dataset("mine", changed).fingerprint()) == ["the content of files"]
    labelled = Dataset("mine", samples, torch.zeros(200, dtype=torch.long))
    assert changes(before, labelled.fingerprint()) == ["labels or class names"]


def test_it_is_quick_for_50_000_files():
    """Only names, sizes and some bytes are read, so the time does not grow with the images."""
    from sngan.data.fingerprint import of_content
    from sngan.data.types import Content

    names = [f"class/{number:06}.png" for number in range(50_000)]
    started = time.process_time()
    of_content(Content(names, [1000] * 50_000, lambda _: bytes(4096)))
    assert time.process_time() - started < 1
