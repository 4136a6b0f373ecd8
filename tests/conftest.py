"""What holds for every test: threads soon sleep while they wait; no latency is kept."""

import os

os.environ["HRNET_SEARCH_LATENCIES"] = "off"  # no test measures for another
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before torch is loaded
