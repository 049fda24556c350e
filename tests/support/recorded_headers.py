"""Columns of real exports, recorded table by table: 2022.4 from a recorded trace, 2023.4 by `nsys export --lazy=false`, which
makes every table, 2025.3 from captures of an H200."""

from __future__ import annotations

import json
from pathlib import Path


def headers() -> dict[str, dict[str, list[str]]]:
    """Version of Nsight Systems -> table -> columns in their order."""
    path = Path(__file__).parents[1] / "traces" / "headers.json"
    recorded = json.loads(path.read_text("utf-8"))
    return {version: {table: names.split() for table, names in tables.items()} for version, tables in recorded.items()}
