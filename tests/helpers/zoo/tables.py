"""Cases of tables: Parquet, and data sets saved by Hugging Face's library."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from helpers.zoo.case import Read, Refused, case, png
from helpers.zoo.folders import PETS

FOUR = [0, 1, 1, 0]


def rows(levels=(10, 20, 30, 40)) -> list[dict]:
    return [{"bytes": png(level), "path": f"{level}.png"} for level in levels]


def table(features: dict | None = None, **columns) -> pa.Table:
    made = pa.table({"image": rows(), **columns})
    if features is None:
        return made
    info = {"info": {"features": features}}
    return made.replace_schema_metadata({"huggingface": json.dumps(info)})


def put(root, made: pa.Table, name: str = "a.parquet", **options) -> str:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, root / name, **options)
    return str(root / name)


ALL = Read(4, ("0", "1"), FOUR, means=[10, 20, 30, 40])


@case(ALL)
@case(Read(4, means=[10, 20, 30, 40]), labels="none")
@case(Refused("data.labels: expected auto, none or a column"), labels="kind")
@case(Refused("data.split: expected train"), split="test")
def plain(root):
    return put(root, table(label=FOUR))


@case(ALL)
def capital_ending(root):
    return put(root, table(label=FOUR), "A.PARQUET")


@case(ALL)
def short_ending(root):
    return put(root, table(label=FOUR), "a.pq")


@case(ALL)
@case(Read(2, ("0", "1"), [0, 1], means=[10, 20]), split="test")
def splits_at_the_end_of_names(root):
    put(root, table(label=FOUR), "pets_train.parquet")
    put(root, table(label=FOUR).slice(0, 2), "pets_test.parquet")
    return str(root)


@case(ALL)
@case(Read(2, ("0", "1"), [0, 1], means=[10, 20]), split="test")
@case(Refused(r"data.split: expected one of \['test', 'train'\]"), split="val")
def splits_without_a_number(root):
    put(root, table(label=FOUR), "train.parquet")
    put(root, table(label=FOUR).slice(0, 2), "test.parquet")
    return str(root)


@case(Read(4, ("0", "1"), FOUR, warning="reads test, its only split"))
def one_split_alone(root):
    put(root, table(label=FOUR), "test-00000-of-00001.parquet")
    return str(root)


@case(ALL)
@case(Read(2, ("0", "1"), [0, 1]), split="validation")
def splits_of_a_repository(root):
    put(root, table(label=FOUR), "data/train-00000-of-00001.parquet")
    put(root, table(label=FOUR).slice(0, 2), "data/val-00000-of-00001.parquet")
    (root / "README.md").write_text("read me")
    return str(root)


@case(ALL)
@case(Read(2, ("0", "1"), [0, 1]), split="test")
def splits_in_folders(root):
    put(root, table(label=FOUR), "default/train/0000.parquet")
    put(root, table(label=FOUR).slice(0, 2), "default/test/0000.parquet")
    return str(root)


@case(Read(8, ("0", "1"), FOUR * 2))
def spark(root):
    for number in range(2):
        put(root, table(label=FOUR), f"part-0000{number}-c000.snappy.parquet")
    (root / "_SUCCESS").write_bytes(b"")
    return str(root)


@case(Read(4, PETS, [0, 0, 1, 1]))
@case(Read(4), labels="none")
def partitions(root):
    for name in PETS:
        put(root, pa.table({"image": rows([10, 20])}), f"label={name}/part-0.parquet")
    return str(root)


def _saved(root, name: str, made: pa.Table) -> None:
    root.mkdir(exist_ok=True, parents=True)
    with pa.OSFile(str(root / name), "wb") as file, pa.ipc.new_stream(file, made.schema) as out:
        out.write_table(made)
    (root / "state.json").write_text("{}")


@case(ALL)
@case(Refused("data.cache: expected stream only for"), cache="stream")
def saved_to_disk(root):
    _saved(root, "data-00000-of-00001.arrow", table(label=FOUR))
    return str(root)


@case(ALL)
@case(Read(2, ("0", "1"), [0, 1]), split="test")
def splits_saved_to_disk(root):
    (root / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    _saved(root / "train", "data-00000-of-00001.arrow", table(label=FOUR))
    _saved(root / "test", "data-00000-of-00001.arrow", table(label=FOUR).slice(0, 2))
    return str(root)


@case(ALL)
def label_quality_before_label(root):
    return put(root, table(label_quality=[9, 9, 8, 7], label=FOUR))


@case(Read(4, ("0", "1"), [1, 0, 0, 1]), labels="coarse")
@case(ALL)
def two_columns_of_labels(root):
    return put(root, table(coarse=[1, 0, 0, 1], label=FOUR))


@case(Read(4, means=[10, 20, 30, 40]))
def quality_alone_is_no_label(root):
    return put(root, table(label_quality=[9, 9, 8, 7]))


@case(ALL)
def mask_before_image(root):
    made = pa.table({"mask": rows([1, 2, 3, 4]), "image": rows(), "label": FOUR})
    return put(root, made)


@case(Read(4, PETS, FOUR, means=[10, 20, 30, 40]))
def what_the_metadata_say(root):
    features = {"picture": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": PETS}}
    made = pa.table({"thumb": rows([1, 2, 3, 4]), "picture": rows(), "kind": FOUR})
    info = json.dumps({"info": {"features": features}})
    return put(root, made.replace_schema_metadata({"huggingface": info}))


@case(Read(4, PETS, FOUR, warning="1 of 3 classes have no images and are left out: eel"))
def a_class_without_images(root):
    features = {"label": {"_type": "ClassLabel", "names": [*PETS, "eel"]}}
    return put(root, table(features, label=FOUR))


@case(Read(4, PETS, FOUR))
def labels_of_text(root):
    return put(root, table(label=["cat", "dog", "dog", "cat"]))


@case(Read(4, PETS, FOUR))
def labels_in_a_dictionary(root):
    return put(root, table(label=pa.array(["cat", "dog", "dog", "cat"]).dictionary_encode()))


@case(Read(3, ("0", "1"), [0, 1, 1], warning="1 sample has no label and is left out"))
@case(Read(3, ("0", "1"), [0, 1, 1], warning="1 sample has no label"), cache="stream")
def one_label_is_null(root):
    return put(root, table(label=[0, 1, 1, None]))


@case(Read(3, PETS, [0, 1, 1], warning="1 sample has no label and is left out"))
def one_text_is_null(root):
    return put(root, table(label=["cat", "dog", "dog", None]))


@case(Read(4, ("5", "18446744073709551615"), [1, 0, 0, 1]))
def labels_of_64_bits(root):
    values = pa.array([2**64 - 1, 5, 5, 2**64 - 1], pa.uint64())
    return put(root, table(label=values))


@case(Refused(r"whole numbers or text as labels in .*a.parquet\[label\], got \[0.7\]"))
def labels_of_fractions(root):
    return put(root, table(label=[0.7, 1.0, 1.0, 0.0]))


@case(Read(3, ("0", "1"), [0, 1, 1], skipped=1, warning="the row has no image bytes"))
def one_image_is_null(root):
    values = [*rows()[:3], None]
    return put(root, pa.table({"image": values, "label": FOUR}))


@case(ALL)
def bytes_without_a_struct(root):
    return put(root, pa.table({"image": [row["bytes"] for row in rows()], "label": FOUR}))


@case(Refused("a column of image bytes in .*a.parquet, got x"))
def no_images(root):
    return put(root, pa.table({"x": [1, 2]}))


@case(Refused("expected rows in .*a.parquet, got none"))
@case(Refused("expected rows in .*a.parquet, got none"), cache="stream")
def no_rows(root):
    return put(root, table(label=FOUR).slice(0, 0))


@case(Refused("data: expected a Parquet file, got .*a.parquet"))
@case(Refused("data: expected a Parquet file, got .*a.parquet"), cache="stream")
def a_damaged_page(root):
    noise = np.random.default_rng(0).integers(0, 256, 60_000, np.uint8).tobytes()
    made = pa.table({"image": [png() + noise] * 4, "label": FOUR})
    path = root / "a.parquet"
    put(root, made, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    # this offset is in the header of the first page
    content[4:40] = bytes(36)
    path.write_bytes(content)
    return str(path)


@case(Refused("the columns .'image', 'label'. in .*b.parquet"))
def files_of_different_columns(root):
    put(root, table(label=FOUR), "a.parquet")
    put(root, pa.table({"image": rows()}), "b.parquet")
    return str(root)


@case(Read(64, means=[128.0] * 64))
def one_large_picture_in_many_rows(root):
    """Dictionary encoding stores the image once, and each row holds only a number."""
    picture = png() + bytes(2**20)
    made = pa.table({"image": [picture] * 64})
    return put(root, made, compression="zstd", dictionary_pagesize_limit=2**26)
