"""Print the lowest version that pyproject.toml allows of each dependency, as pip constraints."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
asked = [*project["dependencies"], *project["optional-dependencies"]["onnx"]]
for line in asked:
    name, lowest = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)(?:,.*)?", line).groups()
    print(f"{name}=={lowest}")
