"""A place in a space."""

Point = tuple[int, ...]
"""Level indices, one for each axis of a space."""
