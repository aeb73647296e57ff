"""Print what pip has to install: build system, dependencies and development group of pyproject.toml, one a line."""

from __future__ import annotations

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())
for requirement in (
    *project["build-system"]["requires"],
    *project["project"]["dependencies"],
    *project["dependency-groups"]["dev"],
):
    print(requirement)
