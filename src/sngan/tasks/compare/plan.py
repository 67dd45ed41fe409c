"""Plan of a comparison: the settings that all of its runs share, kept in ``plan.json``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sngan import config as configs
from sngan.config import Config
from sngan.utils.plain import finite, flatten, read_json, write_json
from sngan.utils.text import first_line

# each run has values of its own; a comparison that goes on may add more
_OF_A_RUN = ("method", "seed", "out")


@dataclass(frozen=True)
class ComparisonPlan:
    """The settings of the command: ``base`` for all runs, ``overrides`` for all methods."""

    base: Mapping[str, Any]
    overrides: Mapping[str, Any]

    @classmethod
    def of(cls, base: Config, overrides: Mapping[str, Any]) -> "ComparisonPlan":
        """Make the plan of a command."""
        return cls(configs.to_dict(base), finite(configs.plain(overrides)))

    @classmethod
    def read(cls, path: Path) -> "ComparisonPlan":
        """Read ``plan.json``.

        Raises
        ------
        ValueError
            If the file is no plan.
        """
        try:
            values = read_json(path)
            return cls(values["base"], values["overrides"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"out: expected a comparison's plan in {path}, got {first_line(error)}"
            ) from error

    def write(self, path: Path) -> None:
        """Write ``plan.json``."""
        write_json(path, {"base": self.base, "overrides": self.overrides}, indent=1)

    def differences(self, new: "ComparisonPlan") -> list[str]:
        """Return ``"key: old → new"`` for each shared setting in which another plan differs."""
        left, right = self._shared(), new._shared()
        return [
            f"{key}: {left.get(key)!r} → {right.get(key)!r}"
            for key in dict.fromkeys([*left, *right])
            if left.get(key) != right.get(key)
        ]

    def _shared(self) -> dict[str, Any]:
        """The shared settings by dotted keys; those that the plan lacks have their defaults."""
        base = configs.to_dict(configs.from_dict(self.base))
        shared = {key: value for key, value in base.items() if key not in _OF_A_RUN}
        return flatten(shared | {"method": self.overrides})
