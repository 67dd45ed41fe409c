"""Plain values: what JSON cannot hold, and nested mappings made flat."""

from sngan.utils.plain import finite


def test_json_has_no_infinity():
    assert finite({"a": [float("inf"), (1.0, float("nan"))], "b": "x"}) == {
        "a": [None, [1.0, None]],
        "b": "x",
    }
