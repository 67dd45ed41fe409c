"""Parts that a caller gives to a training as objects: networks, data, callbacks."""

from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from sngan.callbacks import Callback, as_callbacks
from sngan.config import Config, DataConfig
from sngan.data import Dataset, open_own
from sngan.runs.networks import OwnNetworks
from sngan.utils.checks import require
from sngan.utils.consent import Consent, consent

OWN = "own"
"""The SOURCE in the settings of a run whose data was given as an object."""


@dataclass(frozen=True, kw_only=True)
class OwnParts:
    """Objects that replace what the settings name, and the names that may be imported.

    Attributes
    ----------
    networks
        Generator and critic; None for those that the settings name.
    data
        The data; None for that which the settings name.
    callbacks
        The callbacks.
    consent
        The consent of the process that was called, for processes that it starts.
    """

    networks: OwnNetworks = field(default_factory=OwnNetworks)
    data: Any = None
    callbacks: tuple[Callback, ...] = ()
    consent: Consent = field(default_factory=consent)

    @classmethod
    def of(cls, *, generator: Any, critic: Any, data: Any, callbacks: Any) -> "OwnParts":
        """Check the objects that a caller gives.

        Raises
        ------
        ValueError
            If a network is no module, or a callback is none.
        """
        for name, network in (("generator", generator), ("critic", critic)):
            is_module = network is None or isinstance(network, nn.Module)
            require(is_module, name, expected="a torch.nn.Module", got=repr(network))
        networks = OwnNetworks(generator=generator, critic=critic)
        return cls(networks=networks, data=data, callbacks=as_callbacks(callbacks))

    def noted_in(self, config: Config) -> Config:
        """Return settings that say which parts are objects; data given as a name becomes one."""
        if self.data is None:
            return config
        if isinstance(self.data, DataConfig):
            settings = self.data
        else:
            name = self.data if isinstance(self.data, str) else OWN
            settings = replace(config.data, source=name)
        # the usual folder has the name of the source
        is_usual = config.out == replace(config, out="").out
        return replace(config, data=settings, out="" if is_usual else config.out)

    def open_data(self, settings: DataConfig) -> Dataset | None:
        """Open data that was given as an object; ``None`` if the settings name it.

        Raises
        ------
        ValueError
            If it is no data, or has another size than the settings ask for.
        """
        if settings.source != OWN:
            return None
        expected = "the object that the run was trained on: sngan.train(config, data=…)"
        require(self.data is not None, "data", expected=expected, got="none")
        return open_own(self.data, OWN)
