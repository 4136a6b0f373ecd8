"""Exporters by format; each writes the front of a study for one other library."""

from __future__ import annotations

from collections.abc import Callable

from hrnet_search.report.export.hrnet import export_hrnet
from hrnet_search.report.export.result import ExportResult

EXPORTERS: dict[str, Callable[..., ExportResult]] = {"hrnet": export_hrnet}
"""Each is called as `exporter(study, folder, as_is=False)`."""
