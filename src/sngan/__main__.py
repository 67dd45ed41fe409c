"""`python -m sngan` is the command line."""

import sys

from sngan.cli import main

sys.exit(main())
