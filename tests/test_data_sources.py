"""Every SOURCE against an independent reading, and every bad input against a clear answer."""

import gzip
import io
import json
import logging
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

from sngan.data import MIXTURES, open_source
from sngan.data import cache as cache_module
from sngan.data import decoding as decoding_module
from sngan.data import source as source_module

SHARED = Path(__file__).parents[2] / "shared" / "data"


def photo(seed: int, size=(24, 16), mode: str = "RGB") -> Image.Image:
    """A smooth random picture, so that resizing has something to average."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Two classes of three pictures each."""
    for index in range(6):
        path = tmp_path / "pets" / ("cat" if index < 3 else "dog") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(index, size=(16, 16)).save(path)
    return tmp_path / "pets"


def as_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).reshape(*picture.size[::-1], -1).permute(2, 0, 1)


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


def write_parquet(path: Path, *, labels=True, names=("cat", "dog"), start=0) -> None:
    rows = [{"bytes": encoded(photo(start + i, (8, 8))), "path": f"{i}.png"} for i in range(4)]
    columns = {"img": pa.array(rows)}
    if labels:
        columns["label"] = pa.array([0, 1, 1, 0])
    table = pa.table(columns)
    info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path)


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


def test_resolution_resizes_the_shorter_side_and_cuts_the_centre(tmp_path):
    wide = photo(0, size=(60, 40))
    wide.save(tmp_path / "a.png")
    opened = open_source(str(tmp_path), resolution=20)
    centre = wide.crop((10, 0, 50, 40)).resize((20, 20), Image.Resampling.BICUBIC)
    difference = opened.samples[0].int() - as_tensor(centre).int()
    assert difference.abs().max() <= 2


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("size", "side"), [((16, 16), 40), ((40, 24), 8), ((9, 31), 5), ((101, 99), 64), ((7, 7), 6)]
)
def test_resizing_is_that_of_pillow(size, side, mode):
    noise = np.random.default_rng(side).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    picture = Image.fromarray(noise).convert(mode)
    square = min(size)
    left, top = ((length - square) // 2 for length in size)
    cut = picture.crop((left, top, left + square, top + square))
    expected = as_tensor(cut.resize((side, side), Image.Resampling.BICUBIC)).int()
    found = decoding_module.fit(picture, decoding_module.Form(side, len(expected)))
    assert (torch.from_numpy(found).int() - expected).abs().max() <= 2


def test_resizing_is_antialiased(tmp_path):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    grey = open_source(str(tmp_path), resolution=16).samples[0, :, 2:-2, 2:-2]
    assert 110 < grey.min() <= grey.max() < 145


@pytest.mark.parametrize(
    ("size", "side"), [((32, 32), 32), ((30, 50), 28), ((128, 200), 128), ((300, 200), 64)]
)
def test_default_resolution(tmp_path, size, side, caplog):
    photo(0, size=size).save(tmp_path / "a.png")
    with caplog.at_level(logging.WARNING, logger="sngan"):
        assert open_source(str(tmp_path)).sample_shape == (3, side, side)
    assert ("are made" in caplog.text) == (side not in size)


def test_modes_of_pictures_become_grey_or_colour(tmp_path):
    deep = (np.linspace(0, 65535, 64).reshape(8, 8)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    opened = open_source(str(tmp_path))
    np.testing.assert_array_equal(opened.samples[0, 0], deep // 257)
    for index, mode in enumerate(("RGB", "RGBA", "P", "CMYK")):
        one = tmp_path / mode
        one.mkdir()
        photo(index, (8, 8)).convert(mode).save(one / ("a.tiff" if mode == "CMYK" else "a.png"))
        assert open_source(str(one)).sample_shape == (3, 8, 8)


def test_orientation_in_the_exif_data_is_respected(tmp_path):
    picture = photo(3, size=(8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    expected = as_tensor(picture.rotate(-90))
    assert torch.equal(open_source(str(tmp_path)).samples[0], expected)


def test_mixed_channel_counts_are_an_error_that_a_setting_settles(tmp_path):
    photo(0, (8, 8)).save(tmp_path / "a.png")
    photo(1, (8, 8), "L").save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"data.channels: expected .*colour .*got b.png, grey"):
        open_source(str(tmp_path))
    assert open_source(str(tmp_path), channels=1).sample_shape == (1, 8, 8)
    both = open_source(str(tmp_path), channels=3).samples
    assert torch.equal(both[1, 0], both[1, 2])


def bomb() -> bytes:
    """A valid PNG header that declares 40,000 × 40,000 pixels."""
    good = encoded(photo(0, (8, 8)))
    import zlib

    header = b"IHDR" + struct.pack(">II", 40_000, 40_000) + good[24:29]
    return good[:12] + header + struct.pack(">I", zlib.crc32(header)) + good[33:]


BAD_FILES = {
    "truncated.jpg": encoded(photo(0, (64, 64)), "JPEG")[:500],
    "empty.png": b"",
    "notes.txt": b"these are not the pictures you are looking for",
    "fake.jpg": b"\xff\xd8\xff\xe0 and then nothing",
    "bomb.png": bomb(),
}


@pytest.mark.parametrize("where", ["folder", "zip"])
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_bad_files_are_skipped_counted_and_named(folder, tmp_path, where, cache, caplog):
    for name, content in BAD_FILES.items():
        (folder / "cat" / name).write_bytes(content)
    (folder / ".hidden").write_bytes(b"x")
    (folder / "dog" / "Thumbs.db").write_bytes(b"x")
    source = folder
    if where == "zip":
        source = tmp_path / "pets.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in sorted(folder.rglob("*.*")):
                archive.write(file, file.relative_to(folder))
    for _ in range(2):
        pets = open_source(str(source), cache=cache, cache_dir=tmp_path / "cache")
        assert len(pets) == 6
        assert pets.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert {skip.name.split("/")[-1] for skip in pets.skipped} == set(BAD_FILES)
        assert all(skip.reason for skip in pets.skipped)
        for index in range(6):
            assert torch.equal(pets.samples[index], as_tensor(photo(index, size=(16, 16))))
    assert "skipped 5 files" in caplog.text


def test_a_folder_with_nothing_readable(tmp_path):
    for name, content in BAD_FILES.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"data: expected images, got none among 5 files"):
        open_source(str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"data: expected images in .*empty, got no files"):
        open_source(str(tmp_path / "empty"))


def test_zip_that_would_write_outside_is_read_safely(tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.png", encoded(photo(0, (8, 8))))
        for name in ("../outside.png", "/absolute.png", "a/../../outside2.png"):
            archive.writestr(name, encoded(photo(1, (8, 8))))
    before = sorted(tmp_path.rglob("*"))
    opened = open_source(str(path))
    assert len(opened) == 1
    assert {skip.reason for skip in opened.skipped} == {"its path leaves the archive"}
    assert len(opened.skipped) == 3
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent / "outside.png").exists()


def test_zip_member_that_unpacks_to_too_much_is_skipped(tmp_path, monkeypatch):
    from sngan.data import folder as folder_module

    monkeypatch.setattr(folder_module, "_LARGEST_MEMBER", 1000)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.png", encoded(photo(0, (8, 8))))
        archive.writestr("bomb.png", bytes(100_000))
    (skip,) = open_source(str(path)).skipped
    assert skip.name == "bomb.png"
    assert "100000 bytes" in skip.reason


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"hello"])
def test_broken_zips(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="data: expected a zip, got"):
        open_source(str(path))


def test_symbolic_link_loops_end(folder):
    (folder / "cat" / "loop").symlink_to(folder)
    (folder / "cat" / "nothing.png").symlink_to(folder / "missing.png")
    assert len(open_source(str(folder))) == 6


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("digit", r"data: expected digits, .*got 'digit' \(did you mean digits"),
        ("/no/such", "data: expected digits.*'/no/such', no such file"),
        (__file__, "data: expected digits.*got the file"),
    ],
)
def test_what_is_no_source(source, message):
    with pytest.raises(ValueError, match=message):
        open_source(source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 0}, "data.resolution: expected"),
        ({"channels": 2}, "data.channels: expected 1 or 3"),
        ({"cache": "tape"}, "data.cache: expected one of"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        open_source("digits", **options)


def count_decodes(monkeypatch) -> list:
    calls = []
    real_fit = decoding_module.fit
    monkeypatch.setattr(decoding_module, "fit", lambda *args: calls.append(1) or real_fit(*args))
    return calls


def test_disk_cache_is_reused_and_follows_the_files(folder, tmp_path, monkeypatch):
    calls = count_decodes(monkeypatch)
    options = {"cache": "disk", "cache_dir": tmp_path / "cache"}
    first = open_source(str(folder), **options)
    assert len(calls) == 6
    second = open_source(str(folder), **options)
    assert len(calls) == 6
    assert torch.equal(first.samples, second.samples)
    assert torch.equal(first.labels, second.labels)
    assert second.class_names == ("cat", "dog")
    open_source(str(folder), resolution=8, **options)
    assert len(calls) == 12
    photo(9, (16, 16)).save(folder / "dog" / "9.png")
    assert len(open_source(str(folder), **options)) == 7
    assert len(calls) == 19
    assert not [p for p in (tmp_path / "cache").iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_damaged_cache_is_made_again(folder, tmp_path, suffix, caplog):
    options = {"cache": "disk", "cache_dir": tmp_path / "cache"}
    first = open_source(str(folder), **options)
    expected = first.samples.clone()
    del first
    (victim,) = (tmp_path / "cache").glob(f"*{suffix}")
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    assert torch.equal(open_source(str(folder), **options).samples, expected)
    assert "is damaged" in caplog.text


def test_many_images_are_kept_without_being_asked(folder, tmp_path, monkeypatch):
    options = {"cache_dir": tmp_path / "cache"}
    calls = count_decodes(monkeypatch)
    open_source(str(folder), **options)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(source_module, "_WORTH_KEEPING", 6)
    first, second = (open_source(str(folder), **options) for _ in range(2))
    assert len(calls) == 12
    assert torch.equal(first.samples, second.samples)
    # where there is no room, they are decoded to memory
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=9))
    third = open_source(str(folder), cache_dir=tmp_path / "full")
    assert torch.equal(first.samples, third.samples)
    assert not list((tmp_path / "full").iterdir())


def test_writing_into_samples_leaves_the_cache_alone(folder, tmp_path):
    options = {"cache": "disk", "cache_dir": tmp_path / "cache"}
    open_source(str(folder), **options)
    mapped = open_source(str(folder), **options).samples
    mapped.zero_()
    assert open_source(str(folder), **options).samples.max() > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_keep_the_order_and_progress_reaches_the_end(folder, workers):
    seen = []
    pets = open_source(
        str(folder), workers=workers, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (6, 6)
    assert torch.equal(pets.samples[4], as_tensor(photo(4, size=(16, 16))))


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data with CIFAR-10 is not there")
def test_cifar10_parquet_and_zip_agree_with_pillow():
    test = open_source(str(SHARED / "cifar10"), split="test", cache="memory")
    assert test.samples.shape == (10_000, 3, 32, 32)
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    path = SHARED / "cifar10-test-folder.zip"
    zipped = open_source(str(path), cache="memory")
    assert zipped.class_names == test.class_names
    assert torch.bincount(zipped.labels).tolist() == [1000] * 10
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
        for index in (0, 4321, 9999):
            with Image.open(io.BytesIO(archive.read(names[index]))) as picture:
                assert torch.equal(zipped.samples[index], as_tensor(picture.convert("RGB")))


def test_a_disk_cache_without_room_is_refused(tmp_path, monkeypatch):
    """A mapped file on a full disk would end the process by SIGBUS."""
    for i in range(3):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(cache_module.ImageCache, "has_room", lambda self, shape: False)
    with pytest.raises(ValueError, match=r"^data.cache: expected 'disk' with room for twice 576 b"):
        open_source(str(tmp_path), cache="disk", cache_dir=tmp_path / "cache")
    assert len(open_source(str(tmp_path), cache="auto", cache_dir=tmp_path / "cache")) == 3
