"""Plan of a comparison: the settings that all of its runs share, kept in ``plan.json``."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
    """The settings of the command: ``base`` for all runs, ``overrides`` for all methods.

    ``same_budget`` is the kind of budget that each method gets. If it is time, ``speeds`` has the
    seconds of a step of each method that was timed; the first one has the steps of ``base``.
    """

    base: Mapping[str, Any]
    overrides: Mapping[str, Any]
    same_budget: str = "steps"
    speeds: Mapping[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def of(cls, base: Config, overrides: Mapping[str, Any], same_budget: str) -> "ComparisonPlan":
        """Make the plan of a command."""
        return cls(configs.to_dict(base), finite(configs.plain(overrides)), same_budget)

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
            # earlier versions knew only a budget of steps
            budget, speeds = values.get("same_budget", "steps"), values.get("speeds", {})
            return cls(values["base"], values["overrides"], budget, speeds)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"out: expected a comparison's plan in {path}, got {first_line(error)}"
            ) from error

    @property
    def features(self) -> int:
        """The version of ``evaluation.features``; the first versions did not write it."""
        return (self.base.get("evaluation") or {}).get("features", 1)

    @property
    def reference(self) -> str:
        """The method that was timed first, which has the steps of ``base``; else empty."""
        return next((key.partition(" ")[0] for key in self.speeds), "")

    def write(self, path: Path) -> None:
        """Write ``plan.json``."""
        write_json(path, asdict(self), indent=1)

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
        if shared["evaluation"]["every"] == "auto":
            # a comparison has its own times where none are chosen; earlier versions wrote 0 then
            shared["evaluation"]["every"] = 0
        return flatten(shared | {"method": self.overrides, "same_budget": self.same_budget})
