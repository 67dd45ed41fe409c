"""Bad files: images are skipped and counted, archives and sources are refused in one line."""

import struct
import zipfile

import pytest
import torch

from helpers.pictures import as_tensor, encoded, photo
from sngan.data import open_source


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
    from sngan.data.sources import zip_archive as zips_module

    monkeypatch.setattr(zips_module, "_LARGEST_MEMBER", 1000)
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
        ({"channels": 2}, "data.channels: expected 1, 3 or 4"),
        ({"cache": "tape"}, "data.cache: expected one of"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        open_source("digits", **options)
