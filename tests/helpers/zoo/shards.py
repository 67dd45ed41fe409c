"""Cases of tar shards: labels, names, ends, patterns."""

import io
import tarfile

from helpers.zoo.case import Read, Refused, as_bytes, case, coded, image
from helpers.zoo.folders import PETS, TWO, pets


def tar(files: dict, **options) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as out:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            data = as_bytes(content)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def put(root, content, name: str = "a.tar") -> str:
    (root / name).write_bytes(content if isinstance(content, bytes) else tar(content))
    return f"shards:{root}/{name}"


def samples(label: str, *values) -> dict:
    made = {}
    for number, value in enumerate(values):
        made[f"{number:03}.png"] = 10 * number
        made[f"{number:03}.{label}"] = value
    return made


@case(Read(4, ("0", "1"), [0, 1, 1, 0], means=[0, 10, 20, 30]))
@case(Read(4, means=[0, 10, 20, 30]), labels="none")
@case(Refused("data.split: expected train"), split="val")
@case(Refused("data.labels: expected auto, none or folders for shards"), labels="a.csv")
def plain(root):
    return put(root, samples("cls", "0", "1\n", "1", "0"))


@case(Read(4, PETS, [0, 1, 1, 0]))
def labels_of_text(root):
    return put(root, samples("cls", "cat", "dog\n", "dog", "cat"))


@case(Read(4, PETS, [0, 1, 1, 0]))
def names_in_json(root):
    texts = [f'{{"label": "{name}"}}' for name in ("cat", "dog", "dog", "cat")]
    return put(root, samples("json", *texts))


@case(Read(4, PETS, [0, 1, 1, 0]))
def class_name_in_json(root):
    texts = [f'{{"class_name": "{name}", "x": 1}}' for name in ("cat", "dog", "dog", "cat")]
    return put(root, samples("json", *texts))


@case(Read(4, PETS, [0, 1, 1, 0]))
def labels_in_capitals(root):
    return put(root, samples("CLS", "cat", "dog", "dog", "cat"))


@case(Read(4, PETS, [0, 1, 1, 0]))
def labels_in_texts(root):
    return put(root, samples("label.txt", "cat", "dog", "dog", "cat"))


@case(Read(2, warning="2 labels lie apart from their images: members of a sample must follow"))
@case(Read(2), labels="none")
def labels_after_all_images(root):
    return put(root, {"1.png": 9, "2.png": 9, "1.cls": "cat", "2.cls": "dog"})


@case(Read(2, warning="2 descriptions have no label, such as a number or text under label"))
def json_without_labels(root):
    return put(root, samples("json", '{"meta": {"label": "cat"}}', '{"label": ["a"]}'))


@case(Read(1, means=[1], warning="reads 1 of 2 shards, its split train of test, train"))
@case(Read(1, means=[2], warning="reads 1 of 2 shards, its split test of"), split="test")
@case(Refused(r"data.split: expected one of \['test', 'train'\], got 'val'"), split="val")
def shards_of_several_splits(root):
    put(root, {"a.png": 1}, "pets-train-000.tar")
    put(root, {"b.png": 2}, "pets-test-000.tar")
    return f"shards:{root}/*.tar"


@case(Read(2, means=[10, 20]))
def splits_that_are_named_in_braces(root):
    put(root, {"a.png": 10}, "train-000.tar")
    put(root, {"b.png": 20}, "val-000.tar")
    return f"shards:{root}/{{train,val}}-*.tar"


@case(Read(4, ("5", "99999999"), [0, 1, 1, 0]))
def labels_of_large_numbers(root):
    return put(root, samples("cls", "5", "99999999", "99999999", "5"))


@case(Read(4, ("0", "1", "cat"), [0, 2, 1, 0]))
def numbers_and_text(root):
    return put(root, samples("cls", "0", "cat", "1", "0"))


@case(Read(4, PETS, TWO, warning="2 classes from its folders: cat, dog"))
@case(Read(4), labels="none")
def class_folders(root):
    return put(root, pets())


@case(Read(4, PETS, TWO, warning="split train of test, train"))
@case(Read(2, warning="split test"), split="test")
def splits_in_folders(root):
    return put(root, pets("train/") | {"test/1.png": 9, "test/2.png": 9})


@case(Read(3, ("0", "1"), [0, 1, 1], warning="1 sample has no label and is left out"))
def one_label_is_missing(root):
    return put(root, samples("cls", "0", "1", "1", ""))


@case(Read(3, means=[1, 2, 3]))
def names_of_several_dots_alone(root):
    return put(root, {"photo.2020.01.png": 1, "photo.2020.02.png": 2, "x.left.png": 3})


@case(Read(2, means=[1, 3], warning="3 images are passed over"))
def several_images_of_a_sample(root):
    files = {"a.png": 1, "a.jpg": 2, "a.seg.png": 9, "b.png": 3, "b.mask.png": 9}
    return put(root, files)


@case(Read(2, means=[128, 128], tolerance=3))
def avif(root):
    picture = coded(image(size=(16, 16)), "AVIF")
    return put(root, {"a.avif": picture, "b.AVIF": picture})


@case(Read(2, skipped=1, warning="skipped 1 file"))
def one_that_cannot_be_read(root):
    return put(root, {"a.png": 1, "b.png": "no image", "c.png": 3})


@case(Refused("expected a whole tar file, got .*cut at byte .*the mark of its end is missing"))
def cut_between_members(root):
    whole = tar({"a.png": 1, "b.png": 2})
    return put(root, whole[: len(tar({"a.png": 1}).rstrip(b"\0")) // 512 * 512 + 512])


@case(Refused("data follows its end at byte .*, as in joined tar files"))
def joined(root):
    return put(root, tar({"a.png": 1}) + tar({"b.png": 2}))


@case(Refused("at most 100000 names in a pattern, got more"))
def a_pattern_of_many_names(root):
    put(root, {"a.png": 1})
    return f"shards:{root}/{{a,a}}{{0..99999999}}.tar"


@case(Refused("at most 100000 names in a pattern, got more"))
def a_pattern_that_counts_up(root):
    return f"shards:{root}/{{0..99999999}}.tar"


@case(Read(2, means=[2, 1]))
def a_pattern_that_counts_down(root):
    put(root, {"a.png": 1}, "1.tar")
    put(root, {"a.png": 2}, "2.tar")
    return f"shards:{root}/{{2..1}}.tar"


@case(Refused("tar files after shards:, got no name"))
def no_pattern(root):
    return "shards:"


@case(Read(2, ("a", "caf\\xe9"), [0, 1], warning="2 classes"))
def names_that_are_not_utf8(root):
    return put(root, tar({"a/1.png": 1, "caf\udce9/2.png": 2}, encoding="utf-8"))
