"""What tests of reports share."""

from small_studies import make_study

__all__ = ["make_study"]
