"""Sources: each kind of SOURCE against an independent reader."""

import gzip
import io
import struct
import sys
import types
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from helpers.pictures import as_tensor, encoded, photo, write_parquet
from sngan.data import MIXTURES, open_source

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    loaded = load_digits()
    digits = open_source("digits")
    assert digits.samples.shape == (1797, 1, 8, 8)
    assert digits.samples.dtype == torch.uint8
    np.testing.assert_allclose(digits.samples[:, 0] / 255 * 16, loaded.images, atol=0.04)
    np.testing.assert_array_equal(digits.labels, loaded.target)
    assert digits.class_names == tuple("0123456789")


@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_have_their_centres_and_spread(name):
    points, mixture = open_source(name), MIXTURES[name]
    assert points.samples.shape == (50_000, 2)
    assert torch.equal(points.samples, open_source(name).samples)
    assert points.samples.abs().max() < 1
    offsets = points.samples - mixture.centres[points.labels]
    assert offsets.std().item() == pytest.approx(mixture.std, rel=0.02)
    shares = torch.bincount(points.labels) / len(points)
    count = len(mixture.centres)
    assert count == int(name[-2:].strip("ng"))
    assert shares.tolist() == pytest.approx([1 / count] * count, abs=0.01)


def test_swissroll_lies_on_the_roll():
    points = open_source("swissroll").samples
    radius, angle = points.norm(dim=1) * 15, torch.atan2(points[:, 1], points[:, 0])
    turns = (radius - angle) / (2 * torch.pi)
    assert (turns - turns.round()).abs().mean() < 0.05
    assert 4.7 < radius.quantile(0.01) < 6
    assert 13 < radius.quantile(0.99) < 14.9


def test_folder_of_classes(folder):
    pets = open_source(str(folder))
    assert pets.class_names == ("cat", "dog")
    assert pets.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert pets.samples.shape == (6, 3, 16, 16)
    for index in range(6):
        assert torch.equal(pets.samples[index], as_tensor(photo(index, size=(16, 16))))


def test_zip_equals_the_folder_and_an_outer_folder_is_no_class(folder, tmp_path):
    path = tmp_path / "pets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, f"export/{file.relative_to(folder)}")
    zipped, plain = open_source(str(path)), open_source(str(folder))
    assert torch.equal(zipped.samples, plain.samples)
    assert torch.equal(zipped.labels, plain.labels)
    assert zipped.class_names == ("cat", "dog")


def test_flat_folder_has_no_labels(folder):
    for path in list(folder.rglob("*.png")):
        path.rename(folder / path.name)
    assert open_source(str(folder)).labels is None


def test_parquet_file_and_folder_with_splits(tmp_path):
    for name, start in (("train-0", 0), ("train-1", 4), ("test-0", 8)):
        write_parquet(tmp_path / f"{name}.parquet", start=start)
    single = open_source(str(tmp_path / "test-0.parquet"))
    assert torch.equal(single.samples[3], as_tensor(photo(11, (8, 8))))
    train = open_source(str(tmp_path))
    assert len(train) == 8
    assert torch.equal(train.samples[5], as_tensor(photo(5, (8, 8))))
    assert train.labels.tolist() == [0, 1, 1, 0] * 2
    assert train.class_names == ("cat", "dog")
    assert torch.equal(open_source(str(tmp_path), split="test").samples, single.samples)
    with pytest.raises(ValueError, match=r"data.split: expected one of \['test', 'train'\]"):
        open_source(str(tmp_path), split="valid")


def test_parquet_without_labels_or_images(tmp_path):
    write_parquet(tmp_path / "a.parquet", labels=False)
    assert open_source(str(tmp_path / "a.parquet")).labels is None
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"expected a column of image bytes .* got x"):
        open_source(str(tmp_path / "b.parquet"))
    (tmp_path / "c.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(ValueError, match="expected a Parquet file"):
        open_source(str(tmp_path / "c.parquet"))


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def test_idx_files_plain_and_compressed(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images[:2]))
    train = open_source(str(tmp_path))
    np.testing.assert_array_equal(train.samples[:, 0], images)
    assert train.labels.tolist() == labels.tolist()
    test = open_source(str(tmp_path), split="test")
    assert len(test) == 2
    assert test.labels is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", idx(np.zeros((2, 4, 4), np.uint8))[:-1], "expected 32 bytes"),
        ("train-images-idx3-ubyte", b"\x00\x00\x0d\x03" + bytes(12), "IDX file of bytes in 3"),
        ("train-images-idx3-ubyte.gz", b"\x1f\x8b not gzip", "expected a whole IDX file"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((1, 4, 4), np.uint8)), "one file of train images"),
    ],
)
def test_damaged_idx_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_source(str(tmp_path))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "NHW", "float01", "float11", "int64"])
def test_array_layouts_and_ranges_mean_the_same(tmp_path, layout):
    truth = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    truth[0, 0, 0] = (0, 255, 128)
    array = {
        "NHWC": truth,
        "NCHW": truth.transpose(0, 3, 1, 2),
        "NHW": truth[..., 0],
        "float01": truth / 255,
        "float11": truth / 127.5 - 1,
        "int64": truth.astype(np.int64),
    }[layout]
    np.savez(tmp_path / "a.npz", images=array, labels=np.arange(5))
    np.save(tmp_path / "a.npy", array)
    expected = torch.from_numpy(truth).permute(0, 3, 1, 2)
    expected = expected[:, :1] if layout == "NHW" else expected
    for name in ("a.npz", "a.npy"):
        opened = open_source(str(tmp_path / name))
        assert torch.equal(opened.samples, expected)
    assert open_source(str(tmp_path / "a.npz")).labels.tolist() == [0, 1, 2, 3, 4]


def test_arrays_of_points(tmp_path):
    points = np.random.default_rng(2).normal(size=(7, 3))
    np.save(tmp_path / "p.npy", points)
    opened = open_source(str(tmp_path / "p.npy"))
    assert not opened.is_images
    np.testing.assert_allclose(opened.samples, points, rtol=1e-6)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((2, 8, 8, 3), 300), "integers of .* in 0 … 255, got 300"),
        (np.full((2, 8, 8, 3), -2.0), r"floats of .* in \[0, 1\] or \[-1, 1\], got \[-2"),
        (np.full((2, 8, 8, 3), np.nan), "expected finite"),
        (np.zeros((2, 8, 8, 5), np.uint8), "points .* or images"),
        (np.zeros((0, 8, 8, 3), np.uint8), "expected numbers"),
        (np.array(["a", "b"]), "expected numbers"),
        (np.array([{}]), "expected arrays in"),
    ],
)
def test_arrays_that_are_no_samples(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=f"data: .*{message}"):
        open_source(str(tmp_path / "a.npy"))


def test_damaged_npz(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match="expected arrays in"):
        open_source(str(tmp_path / "a.npz"))


def test_hub_without_and_with_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"pip install 'sngan\[hub\]'"):
        open_source("hf:cifar10")

    class HubImage:
        def __init__(self, *, decode=True):
            self.decode = decode

    class ClassLabel:
        names = ("cat", "dog")

    class Table:
        """The interface of a hub data set that is used: rows of encoded bytes."""

        features = types.MappingProxyType({"image": HubImage(), "kind": ClassLabel()})

        def cast_column(self, name, feature):
            assert (name, feature.decode) == ("image", False)
            return self

        def __len__(self):
            return 3

        def __getitem__(self, part):
            rows = range(3)[part]
            images = [{"bytes": encoded(photo(row, (8, 8))), "path": None} for row in rows]
            return {"image": images, "kind": [row % 2 for row in rows]}

    def load_dataset(name, split):
        if name == "missing":
            raise ConnectionError("no network\nat all")
        assert (name, split) == ("owner/pets", "test")
        return Table()

    fake = SimpleNamespace(load_dataset=load_dataset, Image=HubImage, ClassLabel=ClassLabel)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    pets = open_source("hf:owner/pets:test")
    assert torch.equal(pets.samples[2], as_tensor(photo(2, (8, 8))))
    assert pets.labels.tolist() == [0, 1, 0]
    assert pets.class_names == ("cat", "dog")
    with pytest.raises(ValueError, match=r"data: expected a data set of the hub, got .*no network"):
        open_source("hf:missing")


needs_cifar10 = pytest.mark.skipif(
    not SHARED.exists(), reason="../shared/data with CIFAR-10 is not there"
)
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@needs_cifar10
def test_cifar10_as_parquet():
    test = open_source(str(SHARED / "cifar10"), split="test", cache="memory")
    assert test.samples.shape == (10_000, 3, 32, 32)
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    assert test.class_names == CIFAR10


@needs_cifar10
def test_cifar10_as_a_zip_agrees_with_pillow():
    path = SHARED / "cifar10-test-folder.zip"
    zipped = open_source(str(path), cache="memory")
    assert zipped.class_names == CIFAR10
    assert torch.bincount(zipped.labels).tolist() == [1000] * 10
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
        for index in (0, 4321, 9999):
            with Image.open(io.BytesIO(archive.read(names[index]))) as picture:
                assert torch.equal(zipped.samples[index], as_tensor(picture.convert("RGB")))
