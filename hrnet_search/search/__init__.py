"""Which architectures are tried, and where."""
