"""The steps of `benchmarks/gpu.py`: each proves something on a GPU and keeps what it found."""
