"""The page as one file: no network, no script but its own, everything escaped."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from hrnet_search.counts import aligned
from hrnet_search.data.palette import colour_keys
from hrnet_search.errors import shown
from hrnet_search.files import write_file
from hrnet_search.report.compare import Comparison
from hrnet_search.report.page.content import Page
from hrnet_search.report.page.figures import comparison_figure, figures_of
from hrnet_search.report.page.sentences import trust_facts, verdict

HERE = Path(__file__).parent
FILE = "report.html"
BESIDE, BELOW = "../configs/", "configs/"
"""Where configs are, for the page in a study's folder and for one that is served."""

CERTAIN = 0.99
"""The largest chance that draws are taken to tell from certainty."""


def write_page(page: Page, folder: Path) -> Path:
    """Write report.html; raise StorageLostError where it cannot be."""
    return write_file(folder / FILE, page_html(page))


def page_html(page: Page, live: str = "") -> bytes:
    """Return the page of a study; `live` is the version of it that a server has, if one does."""
    figures = figures_of(page)
    points = dataclasses.asdict(page.points) if page.points.number and page.points.axes else None
    picker = dataclasses.asdict(page.picker) if points else None
    names = [shown(name) for name in page.classes]
    return fill(
        "page.html",
        {
            "points": points,
            "picker": picker,
            "figures": figures,
            "accuracy": page.accuracy,
            "oneSeed": page.evidence.noise is None,
            "live": live,
        },
        page=page,
        live=live,
        configs=BELOW if live else BESIDE,
        figures=figures,
        stamp=page.evidence.stamp,
        trust=trust_facts(page.evidence),
        colours=colour_keys(names) if names else [],
    )


def write_comparison(found: Comparison, path: Path) -> Path:
    """Write the page of a comparison; raise StorageLostError where it cannot be."""
    figures = {"fronts": comparison_figure(found)}
    data = {"points": None, "figures": figures}
    html = fill("compare.html", data, found=found, figures=figures, verdict=verdict(found))
    return write_file(path, html)


def fill(template: str, data: Mapping[str, Any], **values: Any) -> bytes:
    """Return a template filled with values, and with `data` for its script to read."""
    code = (HERE / "page.js").read_text(encoding="utf-8")
    plotly = get_plotlyjs()
    packed = base64.b64encode(gzip.compress(plotly.encode(), mtime=0)).decode()
    parts = {
        "css": Markup((HERE / "page.css").read_text(encoding="utf-8")),
        "plotly": Markup(packed),
        "code": Markup(code),
        "data": Markup(script_json(data)),
        "policy": policy(plotly, code) + ("; connect-src 'self'" if data.get("live") else ""),
    }
    text = _environment().get_template(template).render(parts=parts, **values)
    return text.encode("utf-8", "backslashreplace")


def script_json(data: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(*scripts: str) -> str:
    """Return a content security policy under which these scripts run and nothing is loaded."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline';"
        " img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    found.filters["percent"] = lambda value: f"{100 * value:.2f}%"
    found.filters["scaled"] = _scaled
    found.filters["chance"] = _chance
    return found


def _chance(share: float) -> str:
    """Return a share of draws in words; what all of them say is not certain."""
    if share > CERTAIN:
        return f"over {CERTAIN:.0%}"
    return f"under {1 - CERTAIN:.0%}" if share < 1 - CERTAIN else f"{share:.0%}"


def _scaled(count: int | None) -> str:
    return "-" if count is None else aligned(count)
