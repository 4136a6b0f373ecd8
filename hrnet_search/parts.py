"""The parts of a report, each made by itself: what one of them raises costs no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hrnet_search.errors import HrnetSearchError, ReportError, StudyDamagedError, one_line
from hrnet_search.files import lost_storage

T = TypeVar("T")

STANDS = "every other part was written, and the study's results are intact (--debug shows where)"


class Parts:
    """Makes parts and notes which failed; what is the disk's or the study's trouble is raised."""

    def __init__(self) -> None:
        self._failed: list[tuple[object, Exception]] = []

    def make(self, name: object, make: Callable[[], T]) -> T | None:
        """Return what `make` does, None if it failed. Raise StorageLostError, StudyDamagedError."""
        try:
            return make()
        except StudyDamagedError:
            raise
        except Exception as error:
            if lost := lost_storage(error, str(name)):
                raise lost from error
            self._failed.append((name, error))
            return None

    @property
    def error(self) -> ReportError | None:
        """The error that names each part that failed, None if none did."""
        if not self._failed:
            return None
        lines = [f"{name}: could not be made ({one_line(why)})" for name, why in self._failed]
        causes = [why for _, why in self._failed]
        error = ReportError("\n".join([*lines, STANDS]))
        known = [cause.exit_code for cause in causes if isinstance(cause, HrnetSearchError)]
        error.exit_code = max(known, default=ReportError.exit_code)
        error.__cause__ = ExceptionGroup("parts of a report", causes)
        return error

    def check(self) -> None:
        """Raise ReportError if a part failed."""
        if self.error:
            raise self.error
