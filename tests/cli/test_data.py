"""Command `sngan data`: its table, JSON and picture for every kind of SOURCE, and its errors."""

import json
import logging
import re
import sys
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.zoo import CASES
from helpers.zoo.case import Read, image, png, put_all
from sngan.cli import main
from sngan.config import DataConfig
from sngan.data.images.formats import FORMATS
from sngan.tasks.data import describe
from sngan.tasks.data_picture import save_data_picture

READ = [case for case in CASES if isinstance(case.answer, Read)]
# the first case of each module of the zoo: images, folders, zips, arrays, tables, shards
FEW = list({case.name.partition("-")[0]: case for case in reversed(READ)}.values())


def shown(capsys, *arguments: str) -> tuple[dict[str, str], dict]:
    """The table as {fact: text}, and the JSON."""
    assert main(["data", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["data", *arguments, "--json", "-", "--overwrite"]) == 0
    found = json.loads(capsys.readouterr().out)
    return dict(line.partition(" ")[::2] for line in lines if not line.startswith(" ")), found


def error_line(capsys, *arguments: str) -> str:
    assert main(["data", *arguments]) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert len(lines) == 1
    return lines[0].removeprefix("sngan: error: ")


@pytest.fixture
def photos(tmp_path) -> str:
    """Two classes of photos of several sizes, one of them transparent, one damaged."""
    clear = Image.new("RGBA", (40, 20), (255, 0, 0, 0))
    return put_all(
        tmp_path / "photos",
        {
            "cat/a.png": image(10, size=(40, 20)),
            "cat/b.png": image(20, size=(40, 20)),
            "cat/c.png": clear,
            "dog/d.jpg": image(30, size=(100, 120)),
            "dog/e.png": image(200, size=(16, 16)),
            "dog/f.png": b"\x89PNG damaged",
            "readme.docx": b"text",
        },
    )


def test_the_facts_of_a_folder(photos, tmp_path, capsys):
    out = tmp_path / "photos.png"
    table, found = shown(capsys, photos, "--out", str(out), "--resolution", "16")
    assert table["source"].strip() == photos
    assert table["samples"].strip() == "5 images"
    assert table["sizes"].strip() == "16×16 to 100×120, most often 40×20 (3 of 5)"
    # of 40×20 a half lies outside of the square, of 100×120 a sixth
    assert "16×16, 3 channels (colour); central square (33% of the area" in table["read"]
    assert table["transparent"].strip() == "1, put on white"
    assert table["classes"].strip() == "2: cat (3), dog (2)"
    assert table["skipped"].strip() == "2 files"
    assert "3 PNG RGB, 1 PNG RGBA, 1 JPEG RGB" in table["formats"]
    assert table["picture:"] == str(out)
    assert found["classes"] == [{"name": "cat", "samples": 3}, {"name": "dog", "samples": 2}]
    assert {one["name"] for one in found["skipped"]} == {"dog/f.png", "readme.docx"}
    assert all(one["reason"] for one in found["skipped"])
    files = found["files"]
    assert (files["smallest"], files["largest"], files["commonest"]) == (
        ([16, 16], [100, 120], [40, 20])
    )
    assert files["cut_away"] == pytest.approx((3 / 2 + 1 / 6) / 5)
    assert (files["examined"], files["transparent"]) == (5, 1)
    assert found["shape"] == [3, 16, 16]
    assert found["values"]["high"] == 255
    assert any("skipped 2 files" in remark for remark in found["remarks"])


def test_other_settings_read_in_another_way(photos, capsys):
    _, found = shown(capsys, photos, "--channels", "1", "--labels", "none", "--background", "black")
    assert found["classes"] == []
    assert found["shape"][0] == 1
    assert found["values"]["high"] < 255


@pytest.mark.parametrize("source", ["digits", "stacked-digits", "ring8", "grid25", "swissroll"])
def test_sources_without_files(source, tmp_path, capsys):
    out = tmp_path / "a.png"
    table, found = shown(capsys, source, "--out", str(out))
    is_points = source in ("ring8", "grid25", "swissroll")
    assert found["kind"] == ("points" if is_points else "images")
    assert sum(one["samples"] for one in found["classes"]) in (0, found["samples"])
    assert ("sizes" in table) != is_points
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        # more than the white of an empty figure
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def check(case, folder) -> None:
    source, out = case.make(folder), folder / "picture of data.png"
    options = {"cache": "memory", **case.options}
    if source.startswith("shards:"):
        options["cache"] = "auto"
    found = describe(DataConfig(source=source, **options))
    assert found.dataset.total == case.answer.total
    assert sum(found.class_counts()) in (0, case.answer.total)
    if case.answer.classes:
        assert found.class_names == case.answer.classes
    assert found.to_dict()["samples"] == case.answer.total
    assert len(found.to_dict()["skipped"]) == case.answer.skipped
    assert all(line.isprintable() for line in found.table().splitlines())
    if found.dataset.is_images:
        assert found.survey.examined >= min(case.answer.total, 1)
    save_data_picture(found, out)
    with Image.open(out) as picture:
        assert picture.size[0] > 300


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("case", FEW, ids=lambda case: case.name)
def test_a_case_of_each_kind_of_file(case, tmp_path, own_cache):
    root = tmp_path / "zoo"
    root.mkdir()
    check(case, root)


@pytest.mark.slow
@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_the_zoo(case, tmp_path, own_cache):
    root = tmp_path / "zoo"
    root.mkdir()
    # plug-ins of a case may add formats
    before = list(FORMATS)
    check(case, root)
    assert list(FORMATS) == before


def test_the_picture_does_not_change_and_draws_no_random_numbers(tmp_path, capsys):
    state = torch.get_rng_state()
    for name in ("a.png", "b.png"):
        assert main(["data", "digits", "--out", str(tmp_path / name)]) == 0
    assert torch.equal(torch.get_rng_state(), state)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_rows_of_the_picture_are_images_of_the_class(tmp_path):
    """Each class has one grey level, which its row must show."""
    grey = {"a": 60, "b": 220}
    files = {f"{name}/{i}.png": level for name, level in grey.items() for i in range(3)}
    found = describe(DataConfig(source=put_all(tmp_path / "grey", files), resolution=8))
    save_data_picture(found, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("L")).astype(int)
    rows = {name: np.argwhere(np.abs(pixels - level) <= 1)[:, 0] for name, level in grey.items()}
    # three images of each class above, and below the row p = 0 with all of them
    assert min(map(len, rows.values())) > 4 * 60**2
    assert np.quantile(rows["a"], 0.1) < np.quantile(rows["b"], 0.1)


def test_a_data_set_of_the_hub(monkeypatch, capsys):
    class HubImage:
        def __init__(self, *, decode=True):
            self.decode = decode

    class Table:
        features = MappingProxyType({"image": HubImage()})

        def cast_column(self, name, feature):
            return self

        def __len__(self):
            return 3

        def __getitem__(self, part):
            return {"image": [{"bytes": png(40 * row), "path": None} for row in range(3)[part]]}

    loaded = SimpleNamespace(
        load_dataset=lambda name, split: Table(), Image=HubImage, ClassLabel=type(None)
    )
    monkeypatch.setitem(sys.modules, "datasets", loaded)
    table, found = shown(capsys, "hf:owner/pets")
    assert found["samples"] == found["files"]["examined"] == 3
    assert table["sizes"].strip() == "8×8"


def test_names_of_classes_may_hold_anything(tmp_path, capsys):
    """Formulas of matplotlib, characters without a glyph, and very long names are only text."""
    names = ["$x^$", "a$b", "猫", "long" * 30, "\\frac"]
    source = put_all(
        tmp_path / "odd", {f"{name}/{i}.png": png(9) for name in names for i in (0, 1)}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONWARNINGS", "error")
        assert main(["data", source, "--out", str(tmp_path / "a.png"), "--resolution", "8"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "$x^$ (2)" in captured.out


def test_many_classes_are_shortened(capsys):
    table, found = shown(capsys, "stacked-digits")
    assert len(found["classes"]) == 1000
    assert table["classes"].strip().startswith("1,000 with ")
    assert len(table["classes"]) < 120


def test_a_picture_of_a_person_is_not_replaced(tmp_path, capsys):
    out = tmp_path / "mine.png"
    out.write_bytes(b"mine")
    said = error_line(capsys, "digits", "--out", str(out))
    assert said == f"--out: expected a new file (--overwrite replaces), got {out}"
    assert out.read_bytes() == b"mine"
    assert main(["data", "digits", "--out", str(out), "--overwrite"]) == 0
    with Image.open(out) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "source: expected a SOURCE, .* got none"),
        (["nothing"], r"source: expected digits, .* got 'nothing', no such file or folder"),
        (["digit"], "source: expected .*did you mean digits"),
        (["digits", "--out", "a.jpg"], "--out: expected FILE.png, got a.jpg"),
        (["digits", "--out", "."], "--out: expected FILE.png, got ."),
        (["digits", "--resolution", "2"], "--resolution: expected an integer of at least 4, got 2"),
        (
            ["digits", "--resolution", "x"],
            "--resolution: expected an integer, or HEIGHTxWIDTH .* got 'x'",
        ),
        (["digits", "--split", "test"], "--split: expected train"),
        (["digits", "--labels", "a.csv"], "--labels: expected auto or none"),
        (["digits", "--cache", "tape"], "--cache: expected one of"),
        (["digits", "--channels", "2"], "--channels: expected 1, 3 or 4, got 2"),
        (["digits", "--background", "blurple"], "--background: expected a colour's name"),
        (["digits", "--augment", "ada"], "--augment: expected a flag of sngan data"),
    ],
)
def test_errors_name_the_flag(arguments, message, capsys):
    said = error_line(capsys, *arguments)
    assert re.match(message, said), said


def test_a_folder_in_the_place_of_the_picture(tmp_path, capsys):
    (tmp_path / "a.png").mkdir()
    said = error_line(capsys, "digits", "--out", str(tmp_path / "a.png"), "--overwrite")
    assert said.startswith("--out: expected a new file")


def test_remarks_are_logged_as_in_a_training(tmp_path, caplog):
    source = put_all(tmp_path / "a", {"a.png": 1, "b.png": 2, "c.docx": b""})
    with caplog.at_level(logging.WARNING, logger="sngan"):
        found = describe(DataConfig(source=source))
    assert [record.getMessage() for record in caplog.records] == list(found.remarks)


def test_a_picture_below_a_file_is_refused(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("mine")
    out = str(tmp_path / "file" / "new" / "x.png")
    assert main(["data", "ring8", "--out", out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(
        r"sngan: error: --out: expected a path below a folder \(.*file is a file\)", line
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_sizes_of_one_area_are_named_once(tmp_path, capsys):
    files = {
        "1.png": image(size=(20, 16)),
        "2.png": image(size=(16, 20)),
        "3.png": image(size=(20, 16)),
    }
    table, _ = shown(capsys, put_all(tmp_path, files))
    assert table["sizes"].strip() == "20×16 and 16×20, most often 20×16 (2 of 3)"
