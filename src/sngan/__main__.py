"""Main module: ``python -m sngan`` runs the command line."""

import sys

from sngan.cli import main

sys.exit(main())
