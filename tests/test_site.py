"""The site has every document and every public name; `make docs` builds it strictly."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import hrnet_search

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
HERE = re.compile(
    r"https://(?:github\.com/hrnet-search/hrnet-search/(?:blob|tree)|"
    r"raw\.githubusercontent\.com/hrnet-search/hrnet-search)/main/([^)#\s\"]+)"
)


class SettingsLoader(yaml.SafeLoader):
    """Reads what names a function as that name."""


SettingsLoader.add_multi_constructor(
    "tag:yaml.org,2002:python/name:", lambda _loader, suffix, _node: suffix
)


def test_diagrams_are_drawn() -> None:
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(), SettingsLoader)
    (fences,) = (e for e in settings["markdown_extensions"] if "pymdownx.superfences" in e)
    (fence,) = fences["pymdownx.superfences"]["custom_fences"]
    used = {
        name for path in DOCUMENTS for name in re.findall(r"^```mermaid", path.read_text(), re.M)
    }
    assert used
    assert (fence["name"], fence["format"]) == ("mermaid", "pymdownx.superfences.fence_code_format")


def test_the_reference_has_every_public_name_at_its_home() -> None:
    found = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(), re.M)
    homes = [f"{hrnet_search._HOMES[name]}.{name}" for name in hrnet_search.__all__]
    assert sorted(found) == sorted(homes)


def test_every_document_is_in_the_navigation() -> None:
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(), SettingsLoader)["nav"]
    listed = [name for part in nav for name in leaves(part)]
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def leaves(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    inner = part.values() if isinstance(part, dict) else part
    assert inner is not None
    return [name for one in inner for name in leaves(one)]  # type: ignore[attr-defined]


def test_addresses_of_this_repository_lead_to_files_of_it() -> None:
    found = [(path.name, to) for path in DOCUMENTS for to in HERE.findall(path.read_text())]
    assert len(found) > 2
    assert [pair for pair in found if not (ROOT / pair[1]).exists()] == []


def test_pictures_of_the_readme_are_shown_wherever_it_is() -> None:
    """The package index shows the README without the files beside it."""
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert pictures
    assert all(HERE.match(picture) for picture in pictures)


def test_documents_link_to_nothing_above_them() -> None:
    """A site holds docs/ alone: what lies elsewhere has its address in full."""
    documents = (ROOT / "docs").glob("*.md")
    assert [path.name for path in documents if "](../" in path.read_text()] == []
