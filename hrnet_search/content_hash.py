"""One short name for equal contents, in every process and version."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def hash_of(content: Any) -> str:
    """Return 12 hex digits of sha256 over `content` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
