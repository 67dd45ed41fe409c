"""One thread for every test: the networks are tiny, and results do not depend on the machine."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
