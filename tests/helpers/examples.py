"""Numbers of hypothesis examples: 25 % in the quick suite, all with `--hypothesis-profile=full`."""

from hypothesis import settings

# examples have no deadline: a busy machine is no failure
PROFILES = {
    "quick": {"max_examples": 25, "deadline": None},
    "full": {"max_examples": 100, "deadline": None},
}


def examples(count: int) -> int:
    """``count``, or its part in the profile that is loaded."""
    return max(1, count * settings.default.max_examples // 100)
