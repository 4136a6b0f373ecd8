"""Networks that are written at once, for all tests here."""

from evaluate.latency.runtimes.made_up_files import at_once

__all__ = ["at_once"]
