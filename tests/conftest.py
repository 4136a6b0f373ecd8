"""What holds for every test: threads that soon sleep while they wait, as on the command line."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before torch is loaded
