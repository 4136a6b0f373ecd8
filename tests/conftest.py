"""What holds for every test: threads that sleep while they wait, as on the command line."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded
