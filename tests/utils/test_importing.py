"""Objects named package.module:name."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sngan.utils.importing import import_object, is_object_name

_WORD = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@given(st.lists(_WORD, min_size=1, max_size=3), st.lists(_WORD, min_size=1, max_size=2))
def test_a_dotted_module_and_a_name_are_an_object(module: list[str], name: list[str]) -> None:
    text = ".".join(module) + ":" + ".".join(name)

    assert is_object_name(text) == (module not in (["hf"], ["shards"]))


@pytest.mark.parametrize(
    "text",
    ["photos", "photos/cats", "a/b:c", "hf:mnist", "hf:a/b:train", "shards:data", "C:\\photos",
     "a:", ":b", "a:b:c", "a b:c", "1a:b", "a..b:c"],
)  # fmt: skip
def test_other_sources_are_no_objects(text: str) -> None:
    assert not is_object_name(text)


def test_the_current_folder_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parts_of_a_user.py").write_text("class A:\n    b = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    assert import_object("parts_of_a_user:A.b", argument="--model") == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "no_such_module_at_all:f",
            "--loss: the module 'no_such_module_at_all' cannot be imported",
        ),
        ("math:no_such", "--loss: 'math' has no 'no_such'"),
        ("math", "--loss must have the form package.module:name, got 'math'"),
    ],
)
def test_a_wrong_name_is_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + said.replace("(", r"\(")) as raised:
        import_object(text, argument="--loss")

    assert "\n" not in str(raised.value)
