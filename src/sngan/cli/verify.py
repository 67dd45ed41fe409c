"""Command ``sngan verify``: check a certificate of a Lipschitz bound against its network."""

from dataclasses import asdict
from typing import Any

from sngan.cli import flags
from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.cli.paths import expanded
from sngan.lipschitz import verify_certificate
from sngan.tasks.networks import MODEL_HELP, open_network

DESCRIPTION = (
    "Check a certificate of a Lipschitz bound (`sngan lipschitz --certificate FILE`) against its "
    "network, without the search that made it. Exit status: 0 it is proved, 1 it is not or was "
    "changed, 2 the file is no certificate or belongs to another network."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan verify``."""
    parser.flag("certificate", str, "the file of the certificate")
    parser.flag("network", str, MODEL_HELP)
    flags.add_checkpoint_flag(parser)
    parser.flag("--json", str, JSON_HELP, default=None)
    flags.add_code_flags(parser)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan verify``."""
    network = open_network(values["network"], checkpoint=values["checkpoint"])
    found = verify_certificate(expanded(values["certificate"]), network.module)
    print_result(asdict(found), found.text(), json_to=values["json"])
