"""What runs a network whose latency is measured: a file each, and a line in `table.py`."""
