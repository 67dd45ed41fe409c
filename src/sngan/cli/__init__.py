"""Command line `sngan`: one file for each command."""

from sngan.cli.main import main as main
