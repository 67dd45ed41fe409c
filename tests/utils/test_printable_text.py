"""Names of strangers cannot move the cursor, forge a line, or give advice."""

import os
import subprocess
import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sngan.utils.text import first_line, printable, shell_word


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name.png", "plain name.png"),
        ("é 日本 ∇", "é 日本 ∇"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nsngan: done", "a\\nsngan: done"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\u2028", "\\u2028"),
        (os.fsdecode(b"\xff\xfe.png"), "\\xff\\xfe.png"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_obeys_is_shown_as_an_escape(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters(), max_size=20))
def test_no_text_keeps_a_control_character_or_a_mark(text):
    shown = printable(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode()
    assert printable(shown) == shown


def test_the_first_line_of_an_error():
    assert first_line(ValueError("\n  one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"
    assert first_line(ValueError("a\x1b]0;t\x07")) == "a\\x1b]0;t\\x07"


def unsafe_errors(folder):
    torch.save(np.zeros(3), folder / "a.pt")
    np.save(folder / "a.npy", np.array([{}], dtype=object))
    (folder / "b.npy").write_bytes(b"\x80\x04]\x94K\x01a.")
    yield lambda: torch.load(folder / "a.pt", weights_only=True)
    yield lambda: torch.load(folder / "b.npy", weights_only=True)
    yield lambda: np.load(folder / "a.npy")
    yield lambda: np.load(folder / "b.npy")


def test_no_advice_to_load_without_protection(tmp_path):
    for load in unsafe_errors(tmp_path):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            load()
        line = first_line(caught.value)
        assert not [word for word in ("weights_only", "pickle", "trust") if word in line], line


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=20
    )
)
def test_a_shell_reads_a_word_as_the_text(texts):
    texts = ["it's a \n 'b' \\x41 $HOME `c`", os.fsdecode(b"\xff\xfe"), "", *texts]
    words = [shell_word(text) for text in texts]
    assert all(word.isprintable() for word in words)
    script = f"printf '%s\\0' {' '.join(words)}"
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert said.split(b"\0")[:-1] == [os.fsencode(text) for text in texts]
