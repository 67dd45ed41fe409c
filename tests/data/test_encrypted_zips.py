"""Encrypted members of zips are named as such; no message shows a Python object."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from sngan import data
from sngan.utils.text import first_line


def encrypted(blob, names):
    """Set the flag of encryption of some members, in their own and in the central headers."""
    blob = bytearray(blob)
    for name in names:
        for magic, flags, at in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
            start = -1
            while (start := blob.find(magic, start + 1)) >= 0:
                if blob[start + at : start + at + len(name)] == name.encode():
                    blob[start + flags] |= 1
    return bytes(blob)


def zipped(names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, name in enumerate(names):
            picture = io.BytesIO()
            Image.new("L", (8, 8), 40 * number).save(picture, "png")
            archive.writestr(name, picture.getvalue())
    return file.getvalue()


def test_a_wholly_encrypted_zip_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(encrypted(zipped(["1.png", "2.png"]), ["1.png", "2.png"]))
    told = r"a\.zip, got 2 unusable; the first, 1\.png: it is encrypted$"
    with pytest.raises(ValueError, match=told):
        data.open_source(str(path))


def test_an_encrypted_member_is_left_out_with_its_reason(tmp_path, caplog):
    path = tmp_path / "a.zip"
    path.write_bytes(encrypted(zipped(["1.png", "2.png", "3.png"]), ["2.png"]))
    dataset = data.open_source(str(path))
    assert [(one.name, one.reason) for one in dataset.skipped] == [("2.png", "it is encrypted")]
    assert len(dataset) == 2
    assert "2.png (it is encrypted)" in caplog.text


def test_an_encrypted_npz_names_file_and_member(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=np.zeros((4, 8, 8), np.uint8))
    path.write_bytes(encrypted(path.read_bytes(), ["images.npy"]))
    with pytest.raises(ValueError, match=r"a\.npz, got images\.npy, which is encrypted$"):
        data.open_source(str(path))


@pytest.mark.parametrize(
    "thing",
    [io.BytesIO(), zipfile.ZipInfo("a.png"), object(), open, lambda: None, zipfile.ZipFile],
)
def test_no_first_line_shows_an_address(thing):
    line = first_line(RuntimeError(f"cannot read {thing!r} here"))
    assert " at 0x" not in line
    assert "ZipInfo " not in line
    assert line.startswith("cannot read ")
    assert line.endswith(" here")
