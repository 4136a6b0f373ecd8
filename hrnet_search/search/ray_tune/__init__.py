"""The cluster driver: trials as Ray Tune trials, on this machine or on many."""
