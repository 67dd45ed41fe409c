"""Cases of folders: splits, parts, classes, labels, links, files that are no images."""

import os

from helpers.zoo.case import Read, Refused, case, png, put, put_all

PETS = ("cat", "dog")
TWO = [0, 0, 1, 1]
TOLD = "2 classes from its folders: cat, dog .data.labels=none.FILE"


def pets(prefix: str = "", level: int = 0) -> dict:
    return {f"{prefix}{c}/{i}.png": level + 10 * n + i for n, c in enumerate(PETS) for i in (1, 2)}


@case(Read(4, PETS, TWO, warning=TOLD))
@case(Read(4), labels="none")
@case(Read(4, PETS, TWO, warning=TOLD), labels="folders")
@case(Refused("data.split: expected train, as .* has no splits; got 'val'|got 'val'"), split="val")
@case(Refused("data.labels: expected none, folders, or a CSV"), labels="nothing.csv")
@case(Refused("data.labels: expected none, folders, or a CSV"), labels="~nobody-of-this-name/l.csv")
@case(Refused("data.labels: expected none, folders, or a CSV"), labels="x" * 5000)
@case(Refused("data.labels: expected none, folders, or a CSV"), labels="a\0b")
def class_folders(root):
    return put_all(root, pets())


@case(Read(4, PETS, TWO, warning="reads its split train of test, train, val"))
@case(Read(4, PETS, TWO, means=[31, 32, 41, 42], warning="reads its split val"), split="val")
@case(Read(4, PETS, TWO, means=[31, 32, 41, 42], warning="split val"), split="validation")
@case(Read(2, means=[91, 92], warning="its split test"), split="test")
@case(Refused(r"data.split: expected one of \['test', 'train', 'val'\]"), split="extra")
def splits(root):
    files = pets("train/") | pets("val/", 30) | {"test/1.png": 91, "test/2.png": 92}
    return put_all(root, files | {"README.md": "read me"})


@case(Read(4, PETS, TWO, warning="split Training of Training, Validation"))
def splits_of_other_spelling(root):
    return put_all(root, pets("Training/") | pets("Validation/", 30))


@case(Read(4, PETS, TWO, warning="split train of test, train"))
def splits_in_an_outer_folder(root):
    return put_all(root, pets("pets/train/") | pets("pets/test/"))


@case(Read(4, PETS, TWO, warning="split train of each class|reads the split train"))
@case(Read(2, PETS, [0, 1], warning="the split test"), split="test")
def splits_in_classes(root):
    files = {f"{c}/train/{i}.png": 9 for c in PETS for i in range(2)}
    return put_all(root, files | {f"{c}/test/1.png": 9 for c in PETS})


@case(Read(6, ("bus", "car", "train"), [0, 0, 1, 1, 2, 2], warning="3 classes"))
def a_class_named_train(root):
    return put_all(root, {f"{c}/{i}.png": 9 for c in ("bus", "car", "train") for i in range(2)})


@case(Read(4, PETS, TWO, warning=TOLD))
@case(Refused("data.split: expected one of"), split="val")
def one_split_alone(root):
    return put_all(root, pets("train/"))


@case(Read(4, PETS, TWO, warning="reads test, its only split"))
def test_alone(root):
    return put_all(root, pets("test/"))


test_alone.__test__ = False


@case(Read(4, PETS, TWO, warning="left out beside its splits: more"))
def one_split_of_classes_beside_others(root):
    return put_all(root, pets("train/") | {"more/1.png": 9})


@case(Read(4, PETS, TWO, warning="left out beside its splits: extra"))
def a_folder_beside_splits(root):
    return put_all(root, pets("train/") | pets("test/") | {"extra/1.png": 9})


@case(Read(4, warning="are parts and no classes"))
@case(Read(4, ("00000", "01000"), TWO, warning="2 classes"), labels="folders")
def chunks_of_thousands(root):
    return put_all(root, {f"{c}/{c[:2]}{i:03}.png": 9 for c in ("00000", "01000") for i in (0, 1)})


@case(Read(5, warning="are parts and no classes"))
def chunks_that_count_on(root):
    return put_all(root, {f"{n // 2:05}/img{n:08}.png": 9 for n in range(5)})


@case(Read(4, ("00000", "00001"), TWO, warning="2 classes"))
def numbered_classes_that_begin_again(root):
    return put_all(root, {f"{c:05}/{c:05}_{n:05}.png": 9 for c in (0, 1) for n in (0, 1)})


@case(Read(4, ("0", "1"), TWO, warning="2 classes"))
def digits_as_classes(root):
    return put_all(root, {f"{c}/{n}.png": 9 for c in (0, 1) for n in (0, 1)})


@case(Read(3, warning="are parts and no classes"))
def folders_of_hashes(root):
    names = ("3f/3f0a9b8c7d.png", "a0/a0ffee1234.png", "a0/a0bbcc1234.png")
    return put_all(root, dict.fromkeys(names, 9))


@case(Read(4, ("n01440764", "n01443537"), TWO, warning="2 classes"))
def imagenet(root):
    wnids = ("n01440764", "n01443537")
    return put_all(root, {f"train/{w}/{w}_{i}.JPEG": png() for w in wnids for i in (1, 2)})


@case(Read(8, PETS, [0, 0, 1, 1] * 2, warning="batch1, batch2 are parts and no classes"))
def batches_of_classes(root):
    return put_all(root, pets("batch1/") | pets("batch2/"))


@case(Read(4, warning="are parts and no classes"))
def cameras_folders(root):
    return put_all(root, {f"DCIM/{c}CANON/IMG_{i}.JPG": png() for c in (100, 101) for i in (1, 2)})


@case(Read(4, PETS, TWO, warning=TOLD))
def thumbnails_of_devices(root):
    hidden = ["@eaDir/1.png/SYNOPHOTO_THUMB_M.png", "cat/@eaDir/t.png", "#recycle/x.png"]
    hidden += ["$RECYCLE.BIN/x.png", ".thumbnails/x.png", "__MACOSX/cat/._1.png", "cat/Thumbs.db"]
    return put_all(root, pets() | dict.fromkeys(hidden, 9))


@case(Read(2, warning="left out its folders of annotations: masks"))
def masks_beside_images(root):
    return put_all(root, {f"{c}/{i}.png": 9 for c in ("images", "masks") for i in (1, 2)})


@case(Read(4, PETS, TWO, warning=TOLD))
def annotations_in_xml(root):
    return put_all(root, pets() | {f"annotations/{i}.xml": "<a/>" for i in range(3)})


@case(Read(4, PETS, TWO, warning="left out its folders of annotations: annotations"))
def annotations_in_png(root):
    return put_all(root, pets() | {f"annotations/{i}.png": 9 for i in range(3)})


@case(Read(2, warning="split train of train, val"))
def yolo(root):
    files = {f"images/{s}/{i}.png": 9 for s in ("train", "val") for i in (1, 2)}
    labels = {f"labels/{s}/{i}.xml": "0 .5 .5" for s in ("train", "val") for i in (1, 2)}
    return put_all(root, files | labels)


@case(Read(4, ("mask", "no_mask"), TWO, warning="2 classes"))
def masks_as_a_class(root):
    return put_all(root, {f"{c}/{i}.png": 9 for c in ("mask", "no_mask") for i in (1, 2)})


@case(Read(4, PETS, TWO, skipped=2, warning="1 of 3 classes have no images and are left out: ape"))
def a_class_that_cannot_be_read(root):
    return put_all(root, pets() | {"ape/1.png": "no image", "ape/2.png": b""})


@case(Read(4, PETS, TWO, warning=TOLD))
def an_empty_class(root):
    (root / "ape").mkdir()
    return put_all(root, pets())


@case(Read(4, PETS, TWO, warning="left out 1 file beside its class folders .data.labels=none"))
def an_image_beside_classes(root):
    return put_all(root, pets() | {"collage.png": 9})


@case(Read(4, PETS, TWO, skipped=1, warning="skipped 1 file"))
def a_readme_beside_classes(root):
    return put_all(root, pets() | {"README.txt": "read me"})


@case(Read(9, warning="5 files lie beside its 2 folders: read without classes"))
@case(Read(4, PETS, TWO, warning="left out 5 files"), labels="folders")
def many_images_beside_folders(root):
    return put_all(root, pets() | {f"{i}.png": 9 for i in range(5)})


def with_loose(each: int, loose: int) -> dict:
    files = {f"{c}/{i}.png": 9 for c in PETS for i in range(each)}
    return files | {f"{i}.png": 9 for i in range(loose)}


@case(Read(41, warning="11 files lie beside its 2 folders: read without classes"))
@case(Read(30, PETS, warning="left out 11 files"), labels="folders")
@case(Read(30, PETS, warning="left out 11 files beside its class folders"), reading=4)
def more_than_few_images_beside_large_classes(root):
    return put_all(root, with_loose(15, 11))


@case(Read(30, PETS, warning="left out 10 files beside its class folders .data.labels=none reads"))
def few_images_beside_classes(root):
    return put_all(root, with_loose(15, 10))


@case(Read(3, warning="1 file lies beside its 2 folders: read without classes"))
def one_image_beside_classes_of_one(root):
    return put(root, **{"cat/1.png": 9, "dog/1.png": 9, "1.png": 9})


@case(Read(2, ("cat",), [0, 0], warning="1 class from its folders: cat"), labels="folders")
def one_class(root):
    return put(root, **{"cat/1.png": 9, "cat/2.png": 9, "1.png": 9})


@case(Read(3, warning="files lie beside its folder old: read without classes"))
def one_folder_beside_images(root):
    return put(root, **{"1.png": 9, "2.png": 9, "old/3.png": 9})


@case(Read(4, PETS, TWO, warning=TOLD))
def a_class_that_is_a_link(root):
    put_all(root / "elsewhere", {"1.png": 9, "2.png": 9})
    put_all(root / "pets", {"cat/1.png": 9, "cat/2.png": 9})
    (root / "pets" / "dog").symlink_to(root / "elsewhere")
    return str(root / "pets")


@case(Read(4, PETS, TWO, warning=TOLD))
def links_in_circles(root):
    put_all(root, pets())
    for name in PETS:
        (root / name / "up").symlink_to(root)
        (root / name / "other").symlink_to(root / "cat")
    return str(root)


@case(Read(4, PETS, TWO, warning="left out folders that sngan wrote: runs/pets-sn"))
def a_run_inside_its_data(root):
    run = {"config.yaml": "a: 1", "metrics.jsonl": "", "samples/step-000000.png": 9}
    return put_all(root, pets() | {f"runs/pets-sn/{name}": one for name, one in run.items()})


@case(Read(4, PETS, TWO, warning=TOLD))
def descriptions_beside_images(root):
    names = ["dataset.json", "metadata.csv", "cat/info.yaml", "LICENSE.md", "metadata.jsonl"]
    return put_all(root, pets() | dict.fromkeys(names, "x"))


@case(Read(2, skipped=1, warning="skipped 1 file of .*: cat/big.png .it has 3221225472 bytes"))
def a_sparse_file_of_3_gb(root):
    put_all(root, {"cat/1.png": 9, "cat/2.png": 9})
    with (root / "cat" / "big.png").open("wb") as file:
        os.truncate(file.fileno(), 3 * 2**30)
    return str(root)


@case(Read(4, PETS, TWO, warning=TOLD))
def captions_beside_images(root):
    texts = {name.replace(".png", ".txt"): "a pet" for name in pets()}
    return put_all(root, pets() | texts)


@case(
    Read(4, PETS, TWO, skipped=3, warning="skipped 3 files of .*a camera's raw data, and no image")
)
def what_is_no_image_by_its_name(root):
    return put_all(root, pets() | dict.fromkeys(["cat/1.NEF", "cat/2.mp4", "cat/3.zip"], "x"))


@case(Refused("expected images in .*got 2 files of other kinds, such as a.npy"))
def arrays_in_a_folder(root):
    return put_all(root, {"a.npy": "x", "b.npy": "x"})


CSV = "file_name,label\ncat/1.png,tom\ncat/2.png,tom\ndog/1.png,rex\ndog/2.png,rex\n"
NAMED = Read(4, ("rex", "tom"), [1, 1, 0, 0])


@case(NAMED, labels="labels.csv")
def labels_in_a_csv(root):
    return put_all(root, pets() | {"labels.csv": CSV})


@case(NAMED, labels="meta.tsv")
def labels_in_a_tsv(root):
    return put_all(root, pets() | {"meta.tsv": CSV.replace(",", "\t")})


@case(Read(4, ("3", "7"), [0, 0, 1, 1]), labels="dataset.json")
def labels_in_stylegans_json(root):
    rows = ", ".join(f'["{name}", {3 if "cat" in name else 7}]' for name in pets())
    return put_all(root, pets() | {"dataset.json": f'{{"labels": [{rows}]}}'})


@case(Read(4, PETS, [0, 0, 1, 1]), labels="a.json")
def labels_in_a_json_map(root):
    rows = ", ".join(f'"{name}": "{name[:3]}"' for name in pets())
    return put_all(root, pets() | {"a.json": f"{{{rows}}}"})


@case(NAMED, labels="a.jsonl")
def labels_in_lines_of_json(root):
    lines = [row.split(",") for row in CSV.splitlines()[1:]]
    text = "\n".join(f'{{"file_name": "{n}", "label": "{c}"}}' for n, c in lines)
    return put_all(root, pets() | {"a.jsonl": text})


@case(Read(3, ("a", "b"), [0, 1, 0]), labels="train.csv")
def labels_by_name_without_suffix(root):
    return put(root, **{"1.png": 9, "2.png": 9, "3.png": 9, "train.csv": "id,class\n1,a\n2,b\n3,a"})


@case(Read(2, ("a", "b"), [0, 1], warning="1 sample has no label and is left out"), labels="l.csv")
def a_label_that_is_missing(root):
    return put(root, **{"1.png": 9, "2.png": 9, "3.png": 9, "l.csv": "1.png,a\n2.png,b"})


@case(Refused("data.labels: expected labels of the images in l.csv"), labels="l.csv")
def labels_of_other_files(root):
    return put(root, **{"1.png": 9, "l.csv": "x.png,a\ny.png,b"})


@case(Refused("data.labels: expected .*CSV or JSON file"), labels="l.json")
def labels_that_are_damaged(root):
    return put(root, **{"1.png": 9, "l.json": '{"a'})


@case(Refused("data.labels: expected .*CSV or JSON file"), labels="l.json")
def labels_of_deep_json(root):
    return put(root, **{"1.png": 9, "l.json": "[" * 100_000})


@case(Read(2, ("caf\\xe9", "th\\xe9"), [0, 1], warning="2 classes"))
def names_that_are_not_utf8(root):
    for name in (b"caf\xe9", b"th\xe9"):
        folder = os.path.join(os.fsencode(root), name)  # noqa: PTH118
        os.mkdir(folder)  # noqa: PTH102
        with open(os.path.join(folder, b"\xff.png"), "wb") as file:  # noqa: PTH118, PTH123
            file.write(png())
    return str(root)


@case(Read(2, ("a\\x1b[2Jb", "c\\u202ed"), [0, 1], warning="classes from its folders: a.x1b"))
def names_that_a_terminal_obeys(root):
    return put_all(root, {"a\x1b[2Jb/1.png": 9, "c\u202ed/1.png": 9})


@case(Refused("expected images in .*, got no files"))
def an_empty_folder(root):
    return str(root)


@case(Refused("expected images in .*got 2 files of other kinds, such as a.json"))
def descriptions_alone(root):
    return put(root, **{"a.json": "{}", "b.csv": "a,b"})


@case(Refused("data: expected digits.*; got ''"))
def no_name(root):
    return ""


@case(Refused("data: expected digits"))
def a_null_byte(root):
    return "a\0b"


@case(Refused("data: expected digits"))
def a_name_of_10000_letters(root):
    return "x" * 10_000


@case(Refused("data: expected digits"))
def a_home_of_nobody(root):
    return "~nobody-of-this-name/photos"


@case(Refused("data.split: expected train"), split="test")
@case(Refused("data.labels: expected auto or none"), labels="folders")
@case(Read(1797), labels="none")
def embedded(root):
    return "digits"
