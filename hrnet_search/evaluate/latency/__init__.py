"""Latency: of a network now, and as it was kept."""
