"""YAML and JSON with a key twice are refused: a reader would take the last one in silence."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sngan.cli import main
from sngan.utils.plain import parse_json, parse_yaml

KEYS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6)


@given(
    KEYS, st.integers(0, 3), st.sampled_from(["{}: 1", '"{}": 1', "'{}': 1", "? {}\n{indent}: 1"])
)
def test_yaml_of_any_depth_has_each_key_once(keys, depth, form):
    indent = "  " * depth
    outer = "".join(f"{'  ' * level}z:\n" for level in range(depth))
    lines = [indent + form.format(key, indent=indent) for key in keys]
    text = outer + "\n".join(lines)
    if max(Counter(keys).values()) == 1:
        assert parse_yaml(text)
        return
    with pytest.raises(ValueError, match=r"^the key [a-f] twice, in lines \d+ and \d+$") as refused:
        parse_yaml(text)
    numbers = [int(word) for word in str(refused.value).split() if word.isdecimal()]
    rows, name = text.splitlines(), str(refused.value).split()[2]
    assert all(name in rows[number - 1] for number in numbers)


def test_a_merged_mapping_may_be_overridden():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: *a, y: 4}\nd: *a\n"
    values = parse_yaml(text)
    assert (values["b"], values["c"]) == ({"x": 3, "y": 2}, {"x": 1, "y": 4})


@given(KEYS)
def test_json_has_each_key_once(keys):
    text = '{"z": [{' + ", ".join(f"{json.dumps(key)}: 1" for key in keys) + "}]}"
    if max(Counter(keys).values()) == 1:
        assert parse_json(text) == json.loads(text)
    else:
        with pytest.raises(ValueError, match=r"^the key [a-f] twice$"):
            parse_json(text)


def test_the_command_names_file_key_and_lines(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("steps: 3\nmodel:\n  width: 0.5\n  width: 0.1\n")
    assert main(["train", "--config", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error == (
        f"sngan: error: --config: expected settings in {path}, "
        "got the key width twice, in lines 3 and 4\n"
    )
    assert not (tmp_path / "out").exists()
