"""Reading of files: details that the short answers of the zoo do not show."""

import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import sngan.data
from helpers.zoo import arrays, folders, pixels, shards, tables, zips
from helpers.zoo.case import coded, image, png, put_all
from sngan.data import open_source
from sngan.data.images import pixels as pixels_module
from sngan.data.images.value_range import ValueRange, to_bytes
from sngan.data.labels.encoding import encode


def read(source, **options):
    return open_source(str(source), cache="memory", **options)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_of_all_8_kinds_in_xmp(tmp_path, kind):
    from PIL.PngImagePlugin import PngInfo

    grid = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    turned = {1: grid, 2: grid[:, ::-1], 3: grid[::-1, ::-1], 4: grid[::-1], 5: grid.T}
    turned |= {6: np.rot90(grid, -1), 7: grid[::-1, ::-1].T, 8: np.rot90(grid)}
    for orientation, expected in turned.items():
        xmp = pixels.XMP % orientation
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options = {
            "PNG": {"pnginfo": info},
            "JPEG": {"xmp": xmp, "quality": 100, "subsampling": 0},
            "WEBP": {"xmp": xmp, "lossless": True},
            "TIFF": {"tiffinfo": {700: xmp}},
        }[kind]
        picture = Image.fromarray(np.stack([grid] * 3, 2))
        folder = tmp_path / str(orientation)
        put_all(folder, {f"a.{kind.lower()}": coded(picture, kind, **options)})
        found = read(folder).samples[0, 0].numpy().astype(int)
        np.testing.assert_allclose(found, expected, atol=3 if kind == "JPEG" else 0)


def test_transparency_is_an_exact_mixture(tmp_path):
    rng = np.random.default_rng(0)
    pixels_in = rng.integers(0, 256, (8, 8, 4), np.uint8)
    put_all(tmp_path, {"a.png": coded(Image.fromarray(pixels_in, "RGBA"))})
    colour, alpha = pixels_in[..., :3].astype(float), pixels_in[..., 3:] / 255
    for name, behind in {"white": (255,) * 3, "#102030": (16, 32, 48)}.items():
        expected = colour * alpha + np.array(behind) * (1 - alpha)
        found = read(tmp_path, background=name).samples[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(found, expected, atol=1)
    np.savez(tmp_path / "a.npz", images=pixels_in[None])
    found = read(tmp_path / "a.npz", background="#102030").samples[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=1)


def test_a_format_may_be_added(tmp_path):
    put_all(tmp_path, {"a.xbm": coded(image(0, mode="1"), "XBM"), "b.png": 9})
    assert len(read(tmp_path, channels=3)) == 1
    sngan.data.FORMATS.append("XBM")
    try:
        assert len(read(tmp_path, channels=3)) == 2
    finally:
        sngan.data.FORMATS.remove("XBM")


def test_a_decoder_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    put_all(tmp_path, {"a.png": coded(Image.fromarray(noise)), "b.png": 9})
    monkeypatch.setattr(pixels_module, "_SECONDS", -1.0)
    found = read(tmp_path)
    assert len(found) == 1
    assert found.skipped[0].reason == "its decoding takes over -1 s"


def test_ghostscript_is_never_started(tmp_path, monkeypatch):
    """Pillow would run `gs` in a subprocess."""
    import subprocess

    def forbidden(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    pixels.postscript(tmp_path)
    started = time.perf_counter()
    assert len(read(tmp_path)) == 1
    assert time.perf_counter() - started < 30


def test_folders_that_cannot_be_read_are_counted(tmp_path, monkeypatch):
    folders.class_folders(tmp_path)
    put_all(tmp_path / "ape", {"1.png": 9})
    real = os.scandir

    def refusing(path):
        if str(path).endswith("ape"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = read(tmp_path)
    assert len(found) == 4
    assert [(skip.name, skip.reason) for skip in found.skipped] == [("ape", "Permission denied")]


def test_a_link_to_nothing_is_counted(tmp_path):
    folders.class_folders(tmp_path)
    (tmp_path / "cat" / "9.png").symlink_to(tmp_path / "missing.png")
    assert [skip.name for skip in read(tmp_path).skipped] == ["cat/9.png"]


def test_pipes_and_sockets_are_not_waited_for(tmp_path):
    folders.class_folders(tmp_path)
    os.mkfifo(tmp_path / "cat" / "9.png")
    assert len(read(tmp_path)) == 4


def test_the_resolution_of_many_is_the_median(tmp_path):
    sides = [300, 5, 48, 40, 44, 52, 16]
    files = {f"{index}.png": png(9, size=(side, side + 3)) for index, side in enumerate(sides)}
    put_all(tmp_path, files)
    assert read(tmp_path).sample_shape == (3, 44, 44)


@given(
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30),
    st.sampled_from([np.int64, np.str_, np.float64]),
)
def test_labels_are_numbered_one_to_one(values, kind):
    given_labels = np.array(values).astype(kind)
    found = encode(given_labels, "labels")
    missing = given_labels == (-1 if kind != np.str_ else "")
    assert (found.classes[~missing] >= 0).all()
    assert (found.classes[missing] == -1).all()
    pairs = set(zip(given_labels[~missing].tolist(), found.classes[~missing].tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert found.classes.max() < len(found.names) <= 2 * len(pairs)


@given(st.integers(1, 65535), st.integers(0, 2**32))
def test_integers_are_scaled_as_fractions_are(white, seed):
    values = np.random.default_rng(seed).integers(0, white + 1, 50, np.int32)
    expected = [int(value) * 255 // white for value in values]
    assert to_bytes(values, ValueRange(0, white)).tolist() == expected


def test_a_changed_file_of_labels_is_read_again(tmp_path):
    folders.class_folders(tmp_path / "pets")
    options = {"labels": str(tmp_path / "l.csv"), "cache": "disk", "cache_dir": tmp_path / "cache"}
    for labels in ([0, 0, 1, 1], [1, 0, 0, 1]):
        names = (f"{name},{label}" for name, label in zip(folders.pets(), labels, strict=True))
        (tmp_path / "l.csv").write_text("\n".join(names))
        assert open_source(str(tmp_path / "pets"), **options).labels.tolist() == labels


def test_a_stream_keeps_its_levels_in_the_cache(tmp_path):
    deep = coded(Image.fromarray((pixels.RAMP * 4095).astype(np.uint16)))
    source = shards.put(tmp_path, {"a.png": deep, "b.png": deep})
    for _ in range(2):
        found = open_source(source, cache_dir=tmp_path / "cache")
        assert found.stream.spec.value_ranges == {"I;16": ValueRange(0, 4095)}


def test_names_that_are_not_utf8_in_every_kind_of_source(tmp_path):
    for kind, (make, count) in {
        "zip": (zips.plain, 4),
        "npz": (arrays.capital_keys, 4),
        "idx": (arrays.a_dot_in_the_name, 4),
        "parquet": (tables.plain, 4),
        "arrow": (tables.saved_to_disk, 4),
        "tar": (shards.plain, 4),
    }.items():
        plain, root = tmp_path / kind, tmp_path / os.fsdecode(f"{kind}-".encode() + b"caf\xe9")
        plain.mkdir()
        source = make(plain).replace(str(plain), str(root))
        plain.rename(root)
        found = open_source(source, cache="disk", cache_dir=tmp_path / "cache")
        assert len(found) == count
        assert found.fingerprint()["files"] > 0


def test_a_folder_that_nobody_may_read_is_refused(tmp_path, monkeypatch):
    def refusing(path="."):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refusing)
    with pytest.raises(ValueError, match=r"^data: expected files that can be read, got .*Permiss"):
        read(tmp_path)


def test_a_large_transparent_picture_is_composed_in_strips(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 7, 4), np.uint8), "RGBA")
    put_all(tmp_path, {"a.png": coded(coarse.resize((700, 600)))})
    whole = read(tmp_path, resolution=16).samples
    monkeypatch.setattr(pixels_module, "_LARGE_IMAGE", 1000)
    parts = read(tmp_path, resolution=16).samples
    difference = (whole.int() - parts.int()).abs().float()
    assert difference.mean() < 2
    assert difference.max() < 12
