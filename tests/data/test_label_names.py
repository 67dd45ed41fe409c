"""Names in files of labels, StyleGAN's dataset.json, and a file of labels in each split."""

import json
import logging
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.zoo.case import png, put_all
from sngan.data import open_source
from sngan.data.labels.names import Names

FILES = ["00000/img0.png", "00000/img1.png", "00001/img0.png", "00001/img1.png"]


def labels_of(root: Path, files: list[str], text: dict[str, str], **options: str):
    source = put_all(root, {**{name: png(9) for name in files}, **text})
    found = open_source(source, cache="memory", **options)
    return None if found.labels is None else found.labels.tolist()


def listed(pairs: list[list]) -> str:
    return json.dumps({"labels": pairs})


@pytest.mark.parametrize("is_zip", [False, True])
def test_dataset_json_is_read_by_itself(tmp_path, caplog, is_zip):
    text = listed([[name, index % 2] for index, name in enumerate(FILES)])
    source = put_all(tmp_path / "a", {**dict.fromkeys(FILES, 9), "dataset.json": text})
    if is_zip:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name in (*FILES, "dataset.json"):
                archive.write(tmp_path / "a" / name, name)
        source = str(tmp_path / "a.zip")
    with caplog.at_level(logging.WARNING, logger="sngan"):
        found = open_source(source, cache="memory")
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert "labels are those of its dataset.json" in caplog.text
    assert "classes from its folders" not in caplog.text
    assert open_source(source, cache="memory", reading=2).labels.tolist() == [0, 0, 1, 1]
    assert open_source(source, cache="memory", labels="folders").labels.tolist() == [0, 0, 1, 1]


def test_labels_that_are_null(tmp_path):
    assert labels_of(tmp_path / "a", FILES, {"dataset.json": listed(None)}) is None
    with pytest.raises(ValueError, match=r"data.labels: .*none reads images without labels"):
        labels_of(tmp_path / "a", FILES, {}, labels="dataset.json")


@pytest.mark.parametrize("text", ['{"name": "pets"}', "{", "[]", listed([["x.png", 1]]), "\ufeff3"])
def test_another_dataset_json_is_ignored(tmp_path, text):
    assert labels_of(tmp_path, FILES, {"dataset.json": text}) == [0, 0, 1, 1]


def test_an_image_whose_label_is_null_does_not_get_that_of_its_namesake(tmp_path):
    pairs = [[name, None if index == 2 else index % 2] for index, name in enumerate(FILES)]
    assert labels_of(tmp_path, FILES, {"dataset.json": listed(pairs)}) == [0, 1, 1]


ONE_HOT = [[0, 1, 0], [1.0, 0.0, 0.0], [False, False, True], [1, 0, 0]]


def as_pairs(rows):
    return json.dumps({"labels": list(zip(FILES, rows, strict=True))})


def as_mapping(rows):
    return json.dumps(dict(zip(FILES, rows, strict=True)))


def as_records(rows):
    records = [{"file": name, "label": row} for name, row in zip(FILES, rows, strict=True)]
    return json.dumps(records)


def as_lines(rows):
    return "\n".join(json.dumps(record) for record in json.loads(as_records(rows)))


@pytest.mark.parametrize("form", [as_pairs, as_mapping, as_records, as_lines])
def test_one_hot_lists_are_labels(tmp_path, form):
    name = "labels.jsonl" if form is as_lines else "labels.json"
    found = labels_of(tmp_path / "a", FILES, {name: form(ONE_HOT)}, labels=name)
    assert found == [1, 0, 2, 0]
    mixed = [*ONE_HOT[:2], 2, None]
    assert labels_of(tmp_path / "b", FILES, {name: form(mixed)}, labels=name) == [1, 0, 2]
    wrong = [*ONE_HOT[:3], [0.2, 0.8, 0.0]]
    with pytest.raises(ValueError, match=r"the label \[0.2, 0.8, 0.0\], which is no list with"):
        labels_of(tmp_path / "c", FILES, {name: form(wrong)}, labels=name)


@pytest.mark.parametrize("row", [[], [0, 0, 0], [1, 1, 0], [2, 0, 0], [1, 0, None], [1, [0], 0]])
def test_a_list_that_is_not_one_hot_is_refused(tmp_path, row):
    with pytest.raises(ValueError, match="which is no list with a single 1") as raised:
        labels_of(tmp_path, FILES, {"l.json": as_pairs([*ONE_HOT[:3], row])}, labels="l.json")
    assert "\n" not in str(raised.value)


def test_dataset_json_with_one_hot_lists_is_read_by_itself(tmp_path):
    text = {"dataset.json": as_pairs(ONE_HOT)}
    assert labels_of(tmp_path, FILES, text) == [1, 0, 2, 0]
    # a run of an earlier version goes on with the labels that it had
    found = open_source(str(tmp_path), cache="memory", reading=3)
    assert found.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("split", ["train", "test"])
def test_each_split_has_its_own_file(tmp_path, split):
    files = [f"{one}/{i}.png" for one in ("train", "test") for i in range(2)]
    text = {"train/l.csv": "0.png,cat\n1.png,dog", "test/l.csv": "0.png,dog\n1.png,cat"}
    found = labels_of(tmp_path, files, text, labels="l.csv", split=split)
    assert found == ([0, 1] if split == "train" else [1, 0])


PARTS = st.lists(st.sampled_from(["a", "b", "c.d", "1"]), min_size=1, max_size=3)


@given(st.lists(PARTS, min_size=2, max_size=6, unique_by=tuple), st.data())
def test_every_spelling_of_a_path_means_the_file(paths, data):
    """The table has whole paths, from a folder above, with another ending or without one."""
    files = ["/".join(parts) + ".png" for parts in paths]
    spell = data.draw(
        st.sampled_from(
            [
                lambda path: path,
                lambda path: path.removesuffix(".png"),
                lambda path: path.removesuffix(".png") + ".jpg",
                lambda path: path.replace("/", "\\"),
                lambda path: f"./{path}",
            ]
        )
    )
    labels = {spell(file): f"label {index}" for index, file in enumerate(files)}
    find = Names(labels, files)
    assert [find(file) for file in files] == list(labels.values())


@pytest.mark.parametrize(
    ("labels", "file", "label"),
    [
        ({"train/cat/1.png": "x"}, "cat/1.png", "x"),
        ({"cat/1.png": "x"}, "train/cat/1.png", "x"),
        ({"1.png": "x"}, "cat/1.png", "x"),
        # from another machine: the last part decides, because no other file has it
        ({"/home/me/pets/1.jpg": "x"}, "cat/1.png", "x"),
        ({"dog/2.png": "x"}, "cat/2.png", ""),
        ({"a/1.png": "x", "b/1.png": "y"}, "c/1.png", ""),
        ({"photo.v1": "x"}, "photo.v1.png", "x"),
        ({"1.png": "x", "1.jpg": "y"}, "1.png", "x"),
        ({"1.bmp": "x", "1.jpg": "y"}, "1.png", ""),
    ],
)
def test_which_name_means_a_file(labels, file, label):
    files = [file, "other/2.png", "dog/2.png"]
    assert Names(labels, files)(file) == label
