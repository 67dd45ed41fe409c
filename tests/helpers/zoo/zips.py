"""Cases of zips: separators, duplicate names, endings, damage."""

import io
import warnings
import zipfile

from helpers.zoo.case import Read, Refused, as_bytes, case, png
from helpers.zoo.folders import PETS, TOLD, TWO, pets


def zipped(files, **options) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", **options) as archive:
        warnings.simplefilter("ignore")
        for name, content in files:
            archive.writestr(name, as_bytes(content))
    return buffer.getvalue()


def put_zip(root, files, name="a.zip", **options) -> str:
    (root / name).write_bytes(zipped(list(dict(files).items()), **options))
    return str(root / name)


@case(Read(4, PETS, TWO, warning=TOLD))
def plain(root):
    return put_zip(root, pets("export/"))


@case(Read(4, PETS, TWO, warning=TOLD))
def capital_ending(root):
    return put_zip(root, pets(), name="A.ZIP")


@case(Read(4, PETS, TWO, warning="split train of test, train"))
def splits(root):
    return put_zip(root, pets("train/") | pets("test/"))


@case(Read(4, PETS, TWO, warning=TOLD))
def names_from_the_current_folder(root):
    return put_zip(root, pets("./"))


@case(Read(4, PETS, TWO, warning=TOLD))
def backslashes(root):
    content = zipped([(name, png()) for name in pets()])
    # zipfile would write slashes
    path = root / "a.zip"
    for name in pets():
        content = content.replace(name.encode(), name.replace("/", "\\").encode())
    path.write_bytes(content)
    return str(path)


@case(Read(2, means=[7, 9], warning="1 members are replaced by later ones"))
def two_members_of_a_name(root):
    (root / "a.zip").write_bytes(zipped([("1.png", 3), ("2.png", 9), ("1.png", 7)]))
    return str(root / "a.zip")


@case(Read(4, ("rex", "tom"), [1, 1, 0, 0]), labels="labels.csv")
def labels_inside(root):
    rows = "".join(f"{name},{'tom' if 'cat' in name else 'rex'}\n" for name in pets())
    return put_zip(root, pets() | {"labels.csv": rows})


@case(Read(1, skipped=2, warning="skipped 2 files"))
def leaves_the_archive(root):
    return put_zip(root, {"1.png": 9, "../2.png": 9, "/3.png": 9})


@case(Read(4, PETS, TWO, warning=TOLD))
def hidden_members(root):
    hidden = ["__MACOSX/cat/._1.png", "cat/.DS_Store", "@eaDir/1.png"]
    return put_zip(root, pets() | dict.fromkeys(hidden, 9))


@case(Read(1, skipped=1, warning="it unpacks to 268435457 bytes"))
def a_bomb(root):
    files = {"1.png": 9, "2.png": bytes(2**28 + 1)}
    return put_zip(root, files, compression=zipfile.ZIP_DEFLATED, compresslevel=1)


@case(Read(1, skipped=1, warning="skipped 1 file"))
def a_damaged_member(root):
    content = bytearray(zipped([("1.png", 3), ("2.png", 9)]))
    content[content.index(b"IDAT") + 6] ^= 255
    (root / "a.zip").write_bytes(content)
    return str(root / "a.zip")


@case(Refused("data: expected images in .*a.zip, got no files"))
def empty(root):
    return put_zip(root, {})


@case(Refused("data: expected a zip, got .*a.zip"))
def no_zip(root):
    (root / "a.zip").write_bytes(b"Rar!\x1a\x07")
    return str(root / "a.zip")


@case(Refused("data: expected a zip, got .*a.zip"))
def cut(root):
    (root / "a.zip").write_bytes(zipped([("1.png", 3)])[:-30])
    return str(root / "a.zip")


@case(Refused("data: expected digits.*got the file .*a.rar"))
def another_archive(root):
    (root / "a.rar").write_bytes(b"Rar!\x1a\x07")
    return str(root / "a.rar")
