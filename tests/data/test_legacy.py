"""Legacy reading: runs from before the version had a number continue with the same pixels."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

from helpers.pictures import as_tensor, photo, write_parquet
from helpers.training import assert_identical, final_state, tiny
from helpers.zoo import folders, pixels, zips
from helpers.zoo.case import array_image, coded, put_all
from sngan import config as configs
from sngan.config import DataConfig, ModelConfig
from sngan.data import READING, open_source
from sngan.engine import train as training


def first(source, **options):
    return open_source(str(source), reading=1, cache="memory", **options)


def pixels_of(source, **options) -> np.ndarray:
    return first(source, **options).samples.numpy()


def test_transparency_is_dropped(tmp_path):
    pixels.black_on_transparent(tmp_path)
    assert pixels_of(tmp_path).max() == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((pixels.RAMP * 4095).astype(np.uint16), lambda v: v // 257),
        ((pixels.RAMP * 255).astype(np.int32), lambda v: v // 257),
        ((pixels.RAMP * 500).astype(np.float32), lambda v: v.clip(0, 255).astype(np.uint8)),
        ((pixels.RAMP > 0.5).astype(np.uint8), lambda v: v),
    ],
)
def test_ranges_are_those_of_the_type(tmp_path, values, expected):
    put_all(tmp_path, {"a.tif": array_image(values, "TIFF")})
    np.testing.assert_array_equal(pixels_of(tmp_path)[0, 0], expected(values))


def test_xmp_is_not_looked_at(tmp_path):
    pixels.turned_by_xmp(tmp_path)
    found = pixels_of(tmp_path)[0, 0]
    assert (found[:4] == 255).all()
    assert (found[4:] == 0).all()


@pytest.mark.parametrize(
    ("make", "classes", "count"),
    [
        (folders.splits_of_other_spelling, ("Training", "Validation"), 8),
        (folders.batches_of_classes, ("batch1", "batch2"), 8),
        (folders.masks_beside_images, ("images", "masks"), 4),
        (folders.an_image_beside_classes, (), 5),
        (folders.a_class_that_is_a_link, (), 2),
        (folders.a_run_inside_its_data, ("cat", "dog", "runs"), 5),
        (zips.backslashes, (), 4),
        (zips.hidden_members, ("@eaDir", "cat", "dog"), 5),
    ],
)
def test_every_folder_is_a_class(tmp_path, make, classes, count):
    found = first(make(tmp_path))
    assert found.class_names == classes
    assert len(found) == count


def test_order_is_that_of_a_walk(tmp_path):
    names = ["b.png", "a-1/1.png", "a/2.png", "a/b/3.png", "c.png"]
    for number, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(number, (8, 8)).save(path)
    expected = []
    for folder, inner, files in os.walk(tmp_path):
        inner.sort()
        expected += [np.asarray(Image.open(Path(folder) / file)) for file in sorted(files)]
    for reading in (1, READING):
        found = open_source(str(tmp_path), reading=reading, labels="none", cache="memory")
        np.testing.assert_array_equal(found.samples.permute(0, 2, 3, 1), np.stack(expected))


def test_arrays(tmp_path):
    values = pixels.RAMP[None] * np.ones((4, 1, 1))
    values[0, 0, 0] = -1e-17
    np.savez(tmp_path / "a.npz", y=np.arange(4.0), images=values)
    found = first(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.samples[1, 0], np.rint((values[1] + 1) * 127.5))
    # the array with the first usual name holds the images, and likewise the labels
    assert found.labels.tolist() == [0, 1, 2, 3]


def test_parquet(tmp_path):
    write_parquet(tmp_path / "train.parquet")
    write_parquet(tmp_path / "test.parquet", start=4)
    assert len(first(tmp_path)) == 8
    rows = [{"bytes": coded(photo(n, (8, 8))), "path": ""} for n in range(4)]
    table = pa.table({"mask": rows[::-1], "image": rows, "class_id": [0, 1, None, 1]})
    pq.write_table(table, tmp_path / "a.parquet")
    found = first(tmp_path / "a.parquet")
    assert torch.equal(found.samples[0], as_tensor(photo(3, (8, 8))))
    assert found.labels is None


def forget_the_reading(folder) -> None:
    """Remove the version from the settings, as in a run from before it was written."""
    path = folder / "config.yaml"
    values = yaml.safe_load(path.read_text())
    for key in ("reading", "labels", "background"):
        del values["data"][key]
    path.write_text(yaml.safe_dump(values))


@pytest.mark.bitwise
def test_an_old_run_goes_on_bit_for_bit_and_says_so(tmp_path, caplog):
    pixels.black_on_transparent(tmp_path / "data")
    put_all(tmp_path / "data", {"val/1.png": 200})
    model = ModelConfig(width=0.1, latent_dim=8)
    read = DataConfig(source=str(tmp_path / "data"), reading=1)
    whole = tiny(tmp_path / "whole", data=read, model=model, steps=4)
    parts = replace(whole, out=str(tmp_path / "parts"), steps=2)
    training.train(whole)
    training.train(parts)
    forget_the_reading(tmp_path / "parts")
    assert configs.load(tmp_path / "parts" / "config.yaml").data.reading == 1
    # the command asks for the current version, and the run keeps its own
    new = replace(parts, steps=4, data=replace(parts.data, reading=READING))
    with caplog.at_level(logging.WARNING, logger="sngan"):
        training.train(new, resume=True)
    assert "the run began with version 1 of file reading" in caplog.text
    assert_identical(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    assert configs.load(tmp_path / "parts" / "config.yaml").data.reading == 1


def test_a_new_run_has_this_version_s_reading(tmp_path):
    config = tiny(tmp_path / "run", steps=2)
    training.train(config)
    text = (tmp_path / "run" / "config.yaml").read_text()
    assert f"reading: {READING}" in text
    training.train(replace(config, steps=4), resume=True)


def test_an_unknown_reading_is_refused():
    with pytest.raises(
        ValueError, match=rf"^data.reading: expected at most {READING}, the versions of"
    ):
        DataConfig(reading=READING + 1)
