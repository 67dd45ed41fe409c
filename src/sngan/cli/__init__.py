"""The command line."""

from sngan.cli.main import main as main
