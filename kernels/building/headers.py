"""Headers that come in wheels of their own: found where they were installed, without importing anything of theirs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ...errors import EnvironmentLacks


def cutlass() -> Path:
    """The folder of CUTLASS's headers, as the wheel nvidia-cutlass has it.

    Raises:
        EnvironmentLacks: the wheel is not installed.
    """
    found = find_spec("cutlass_library")
    for folder in (found.submodule_search_locations or ()) if found else ():
        headers = Path(folder, "source", "include")
        if (headers / "cutlass" / "cutlass.h").is_file():
            return headers
    raise EnvironmentLacks("CUTLASS's headers are not there", "pip install 'aisp-prof[cutlass]'")
