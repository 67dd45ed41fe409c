"""The zoo: every case is read as it should be, with or without a warning, or refused in a line."""

import logging
import re

import pytest

from helpers.zoo import CASES
from helpers.zoo.case import Case, Read
from sngan.data import open_source


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_zoo(case: Case, tmp_path, caplog):
    root = tmp_path / "zoo"
    root.mkdir()
    source = case.make(root)
    options = {"cache": "memory", "cache_dir": tmp_path / "cache", **case.options}
    with caplog.at_level(logging.WARNING, logger="sngan"):
        if isinstance(case.answer, Read):
            check(open_source(source, **options), case.answer, caplog.text)
            return
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            open_source(source, **options)
    said = str(caught.value)
    assert re.search(case.answer.because, said), said
    assert said.isprintable()
    assert len(said) < 1000


def check(dataset, answer: Read, log: str) -> None:
    assert dataset.total == answer.total
    assert len(dataset.skipped) == answer.skipped
    if answer.warning is None:
        assert log == ""
    else:
        assert re.search(answer.warning, log), log
    assert (dataset.labels is None) == (answer.labels is None) or answer.labels is None
    if answer.labels is not None:
        assert dataset.labels.tolist() == answer.labels
    if answer.classes:
        assert tuple(dataset.class_names) == answer.classes
    if answer.shape is not None:
        assert dataset.sample_shape == answer.shape
    if answer.means is not None:
        means = dataset.samples.float().flatten(1).mean(1).tolist()
        assert means == pytest.approx(answer.means, abs=answer.tolerance)
