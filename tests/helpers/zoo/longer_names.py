"""Cases of names of splits and labels that consist of several words."""

import numpy as np

from helpers.zoo.case import Read, case, put_all
from helpers.zoo.folders import PETS, TWO, pets


def both(train: str, test: str) -> dict:
    return pets(f"{train}/") | pets(f"{test}/", 30)


@case(Read(4, PETS, TWO, means=[1, 2, 11, 12], warning="reads its split training_set of test_set,"))
@case(Read(4, PETS, TWO, means=[31, 32, 41, 42], warning="its split test_set"), split="test")
def words_after(root):
    return put_all(root, both("training_set/training_set", "test_set/test_set"))


@case(Read(4, PETS, TWO, warning="left out beside its splits: seg_pred"))
def words_before(root):
    return put_all(root, both("seg_train", "seg_test") | {"seg_pred/1.png": 9})


@case(Read(4, PETS, TWO, warning="reads its split train2017 of train2017, val2017"))
def years(root):
    return put_all(root, both("train2017", "val2017"))


@case(Read(4, PETS, TWO, warning="reads its split Train Data of Test Data, Train Data"))
def capitals(root):
    return put_all(root, both("Train Data", "Test Data"))


@case(Read(4, PETS, TWO, warning="reads its split train of test1, train"))
def a_number_on_one(root):
    return put_all(root, both("train", "test1"))


@case(Read(4, PETS, TWO, means=[1, 2, 11, 12], warning="split Training Set of TEST, Training Set"))
@case(Read(4, PETS, TWO, means=[31, 32, 41, 42], warning="its split TEST of"), split="test")
@case(Read(8, ("TEST", "Training Set"), warning="2 classes from its folders"), reading=4)
def a_word_that_says_nothing_on_one(root):
    return put_all(root, both("Training Set", "TEST"))


@case(Read(4, PETS, TWO, warning="split train_images of train_images, validation-data"))
def two_words_that_say_nothing(root):
    return put_all(root, both("train_images", "validation-data"))


@case(Read(2, ("trainA", "trainB"), [0, 1], warning="reads its split trainA, trainB of testA"))
def two_domains(root):
    return put_all(root, {f"{s}{d}/1.png": 9 for s in ("train", "test") for d in "AB"})


@case(Read(4, ("steam train", "test tube"), TWO, warning="2 classes"))
def classes_of_other_words(root):
    return put_all(root, {f"{c}/{i}.png": 9 for c in ("steam train", "test tube") for i in (1, 2)})


@case(Read(4, ("freight train", "steam train"), TWO, warning="2 classes"))
def classes_of_one_split(root):
    names = ("freight train", "steam train")
    return put_all(root, {f"{c}/{i}.png": 9 for c in names for i in (1, 2)})


@case(Read(4, warning="its array ids is read as labels .data.labels=none.NAME chooses otherwise"))
@case(Read(4), labels="none")
def an_array_that_may_be_labels(root):
    samples = np.linspace(0, 255, 4 * 64).astype(np.uint8).reshape(4, 8, 8)
    np.savez(root / "a.npz", images=samples, ids=np.arange(4))
    return str(root / "a.npz")
