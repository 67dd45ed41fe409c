"""Cases of arrays: NumPy's files and IDX files."""

import gzip
import io
import struct
import zipfile

import numpy as np

from helpers.zoo.case import Read, Refused, case

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (4, 8, 8, 3), np.uint8)
IMAGES[0, 0, 0] = (0, 255, 128)
MEANS = IMAGES.reshape(4, -1).mean(1).tolist()
GREY = IMAGES[..., 0]
GREY_MEANS = GREY.reshape(4, -1).mean(1).tolist()
POINTS = RNG.normal(size=(6, 3))


def npz(root, name="a.npz", **arrays) -> str:
    np.savez(root / name, **arrays)
    return str(root / name)


def npy(root, array) -> str:
    np.save(root / "a.npy", array)
    return str(root / "a.npy")


@case(Read(4, means=MEANS))
def capital_ending(root):
    np.savez(root / "a.npz", images=IMAGES)
    (root / "a.npz").rename(root / "A.NPZ")
    return str(root / "A.NPZ")


@case(Read(4, means=MEANS, tolerance=0.01))
def floats_to_1_with_a_rounding_below_0(root):
    values = IMAGES / 255
    values[0, 0, 0, 0] = -1e-17
    return npz(root, images=values)


@case(Read(4, means=MEANS, tolerance=0.01))
def floats_from_minus_1(root):
    return npz(root, images=(IMAGES / 127.5 - 1).astype(np.float32))


@case(Read(4, means=MEANS, tolerance=0.2))
def half_floats(root):
    return npz(root, images=(IMAGES / 255).astype(np.float16))


@case(Read(4, means=MEANS, tolerance=0.01, warning="0 to 255 are read as 0 .black. to 255"))
def floats_to_255(root):
    return npz(root, images=IMAGES.astype(np.float64))


@case(Refused(r"floats of .* in 0 … 255, in \[0, 1\] or \[-1, 1\], got \[-3"))
def floats_of_standard_scores(root):
    return npz(root, images=np.linspace(-3, 3, 256).reshape(4, 8, 8))


@case(Refused("expected finite"))
def infinite_pixels(root):
    return npz(root, images=np.full((4, 8, 8), np.inf))


@case(Read(4, means=GREY_MEANS, tolerance=1, warning="up to 4078 are read as 0 .black. to 4095"))
def twelve_bits(root):
    wide = GREY.astype(np.uint32) * 4095 // 255
    return npz(root, images=wide.astype(np.uint16))


@case(Read(4, means=((GREY > 99).reshape(4, -1).mean(1) * 255).tolist(), warning="read as masks"))
def masks_in_bytes(root):
    return npz(root, images=(GREY > 99).astype(np.uint8))


@case(Read(4, means=((GREY > 99).reshape(4, -1).mean(1) * 255).tolist()))
def masks_of_truth_values(root):
    return npz(root, images=GREY > 99)


@case(Read(4, warning="nearly black, its largest value is 9"))
def maps_of_few_numbers(root):
    return npz(root, images=GREY % 10)


@case(Read(4, means=[255.0] * 4, shape=(3, 8, 8)))
@case(Read(4, means=[0.0] * 4), background="black")
def transparent(root):
    return npz(root, images=np.concatenate([IMAGES, np.zeros_like(IMAGES[..., :1])], 3))


@case(Refused("of one axis that can be the channels, got .4, 3, 8, 3., which has two"))
def either_axis_may_be_channels(root):
    return npz(root, images=np.zeros((4, 3, 8, 3), np.uint8))


@case(Refused("which looks like one image"))
def one_image(root):
    return npy(root, IMAGES[0])


@case(Read(4, shape=(3, 8, 8), warning="images of 4×4 pixels are resized to 8×8"))
@case(Read(4, shape=(3, 4, 4)), resolution=4)
def tiny_images(root):
    return npz(root, images=IMAGES[:, :4, :4])


@case(Read(4, ("0", "1"), [0, 1, 1, 0], means=MEANS))
def labels_before_the_images(root):
    return npz(root, y=np.array([0, 1, 1, 0]), pictures=IMAGES)


@case(Read(4, ("0", "1"), [0, 1, 1, 0], means=MEANS))
def labels_without_names_first(root):
    np.savez(root / "a.npz", np.array([0, 1, 1, 0]), IMAGES)
    return str(root / "a.npz")


@case(Read(4, ("0", "1"), [0, 1, 1, 0], means=MEANS))
@case(Read(4), labels="none")
def capital_keys(root):
    return npz(root, X=IMAGES, Y=np.array([0, 1, 1, 0]))


@case(Read(2, ("0", "1"), [0, 1], means=MEANS[:2]))
@case(Read(2, ("0", "1"), [1, 0], means=MEANS[2:]), split="test")
@case(Refused(r"data.split: expected one of \['test', 'train'\]"), split="val")
def splits_by_keys(root):
    y = np.array([0, 1, 1, 0])
    arrays = {"x_train": IMAGES[:2], "y_train": y[:2], "x_test": IMAGES[2:], "y_test": y[2:]}
    return npz(root, **arrays)


@case(Refused("data.split: expected train, as .* has no splits"), split="test")
@case(Refused("data.labels: expected auto, none or one of images"), labels="kinds")
def without_splits(root):
    return npz(root, images=IMAGES)


@case(Refused("an array named samples, images or x in .*, got left, right"))
def two_arrays_of_images(root):
    return npz(root, left=IMAGES, right=IMAGES)


@case(Read(4, ("cat", "dog"), [0, 1, 1, 0]))
def labels_of_text(root):
    return npz(root, x=IMAGES, y=np.array(["cat", "dog", "dog", "cat"]))


@case(Read(4, ("0", "1"), [0, 1, 1, 0]))
def labels_one_hot(root):
    return npz(root, x=IMAGES, y=np.eye(2)[[0, 1, 1, 0]])


@case(Read(4, ("0", "1"), [0, 1, 1, 0]))
def labels_in_a_column(root):
    return npz(root, x=IMAGES, y=np.array([[0], [1], [1], [0]]))


@case(Read(4, ("7", "1000000000000"), [1, 0, 0, 1]))
def labels_of_large_numbers(root):
    return npz(root, x=IMAGES, y=np.array([10**12, 7, 7, 10**12]))


@case(Read(4, ("0", "18446744073709551615"), [1, 0, 0, 1]))
def labels_of_64_bits(root):
    return npz(root, x=IMAGES, y=np.array([2**64 - 1, 0, 0, 2**64 - 1], np.uint64))


@case(Read(3, ("0", "1"), [0, 1, 1], warning="1 sample has no label and is left out"))
def one_label_is_missing(root):
    return npz(root, x=IMAGES, y=np.array([0, 1, 1, -1]))


@case(Read(3, ("0", "1"), [0, 1, 1], warning="1 sample has no label and is left out"))
def one_label_is_nan(root):
    return npz(root, x=IMAGES, y=np.array([0, 1, 1, np.nan]))


@case(Read(4, warning="3 samples have no label, so no label is used"))
def most_labels_are_missing(root):
    return npz(root, x=IMAGES, y=np.array([0, -1, -1, -1]))


@case(Refused(r"whole numbers or text as labels in .*a.npz\[y\], got \[0.7\]"))
@case(Read(4), labels="none")
def labels_of_fractions(root):
    return npz(root, x=IMAGES, y=np.array([0.7, 1, 1, 0]))


@case(Refused("as many labels as samples, 4, got 3"))
def too_few_labels(root):
    return npz(root, x=IMAGES, y=np.array([0, 1, 1]))


@case(Read(6))
def points(root):
    return npy(root, POINTS)


@case(Refused("in the range of float32"))
def points_beyond_float32(root):
    return npy(root, POINTS * 1e300)


@case(Refused("points .N, dim. of floats, or images"))
def an_array_of_no_axis(root):
    return npy(root, np.array(3.0))


@case(Refused("points .N, dim. of floats, or images"))
def integers_in_two_axes(root):
    return npy(root, np.arange(12).reshape(3, 4))


def header(shape: str, dtype: str = "|u1") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@case(Refused("data: expected arrays in .*a.npy, got .*expected 1000000000000 bytes"))
def a_header_of_10_to_the_12(root):
    (root / "a.npy").write_bytes(header("(1000000000000,)") + bytes(100))
    return str(root / "a.npy")


@case(Refused("data: expected arrays in .*a.npz, got .*expected 1000000000000 bytes"))
def a_zipped_header_of_10_to_the_12(root):
    with zipfile.ZipFile(root / "a.npz", "w") as archive:
        archive.writestr("images.npy", header("(1000000000000,)") + bytes(100))
    return str(root / "a.npz")


@case(Refused("data: expected arrays in .*a.npy"))
def a_header_of_negative_length(root):
    (root / "a.npy").write_bytes(header("(-5, 8, 8)") + bytes(100))
    return str(root / "a.npy")


@case(Refused("data: expected arrays in .*bytes of one array"))
def several_arrays_in_one_file(root):
    with (root / "a.npy").open("wb") as file:
        np.save(file, IMAGES)
        np.save(file, IMAGES)
    return str(root / "a.npy")


@case(Read(4, means=GREY_MEANS, tolerance=1, warning="are read as 0 .black. to 4095"))
def twelve_bits_of_other_byte_order(root):
    wide = GREY.astype(np.uint32) * 4095 // 255
    return npz(root, images=wide.astype(">u2"))


@case(Read(4, ("0", "1"), [0, 1, 1, 0]))
def objects_that_nobody_asks_for(root):
    names = np.array([{"a": 1}, None], object)
    return npz(root, x=IMAGES, y=np.array([0, 1, 1, 0]), names=names)


@case(Refused("data: expected arrays in .*a.npy.* of numbers or text, got objects"))
def pickled_objects(root):
    np.save(root / "a.npy", np.array([{}, {}]), allow_pickle=True)
    return str(root / "a.npy")


@case(Read(4, means=MEANS))
def a_huge_array_that_nobody_asks_for(root):
    buffer = io.BytesIO()
    np.save(buffer, IMAGES)
    with zipfile.ZipFile(root / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", buffer.getvalue())
        with archive.open("embeddings.npy", "w") as member:
            member.write(header(f"({2**26},)"))
            for _ in range(64):
                member.write(bytes(2**20))
    return str(root / "a.npz")


def idx(array) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


LABELS = np.array([0, 1, 1, 0], np.uint8)
CLASSES = ("0", "1")


def idx_folder(root, **files) -> str:
    for name, content in files.items():
        (root / name.replace("__", ".").replace("_", "-")).write_bytes(content)
    return str(root)


@case(Read(4, CLASSES, [0, 1, 1, 0], means=GREY_MEANS))
@case(Read(2, means=GREY_MEANS[:2]), split="test")
def emnist(root):
    names = "emnist_letters_{}_{}_ubyte__gz"
    return idx_folder(
        root,
        **{
            names.format("train", "images_idx3"): gzip.compress(idx(GREY)),
            names.format("train", "labels_idx1"): gzip.compress(idx(LABELS)),
            names.format("test", "images_idx3"): gzip.compress(idx(GREY[:2])),
        },
    )


@case(Read(4, CLASSES, [0, 1, 1, 0], means=GREY_MEANS))
def packed_beside_plain(root):
    files = {"train_images_idx3_ubyte": idx(GREY), "train_labels_idx1_ubyte": idx(LABELS)}
    packed = {f"{name}__gz": gzip.compress(content) for name, content in files.items()}
    return idx_folder(root, **files, **packed)


@case(Read(4, CLASSES, [0, 1, 1, 0], means=GREY_MEANS))
def a_dot_in_the_name(root):
    return idx_folder(
        root, train_images__idx3_ubyte=idx(GREY), train_labels__idx1_ubyte=idx(LABELS)
    )


@case(Refused("one file of train labels for train-images-idx3-ubyte, got .*fine.*"))
def two_files_of_labels(root):
    files = {"train_labels_idx1_ubyte": idx(LABELS), "train_fine_labels_idx1_ubyte": idx(LABELS)}
    return idx_folder(root, train_images_idx3_ubyte=idx(GREY), **files)


@case(Refused("one file of train images, .*got .*balanced.*letters"))
def two_families(root):
    names = ("emnist_letters_train_images_idx3_ubyte", "emnist_balanced_train_images_idx3_ubyte")
    return idx_folder(root, **dict.fromkeys(names, idx(GREY)))


@case(Refused("bytes in .*idx3-ubyte"))
def an_idx_header_of_billions(root):
    return idx_folder(root, train_images_idx3_ubyte=bytes([0, 0, 8, 3]) + b"\xff" * 12 + bytes(9))


@case(Refused("expected 256 bytes in .*ubyte.gz, got 256 and more"))
def an_idx_gzip_bomb(root):
    content = bytes([0, 0, 8, 3]) + struct.pack(">3I", 4, 8, 8) + bytes(2**28)
    return idx_folder(root, train_images_idx3_ubyte__gz=gzip.compress(content, 1))
