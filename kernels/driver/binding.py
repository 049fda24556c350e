"""The CUDA driver's own functions, through cuda-bindings, and the check of what they return."""

from __future__ import annotations

from typing import Any

from ...errors import AispError, EnvironmentLacks


def binding() -> Any:
    """The module `cuda.bindings.driver`.

    Raises:
        EnvironmentLacks: cuda-bindings is not installed.
    """
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise EnvironmentLacks(
            "the Python package cuda-bindings is not installed", "pip install 'aisp-prof[gpu]'"
        ) from error
    return driver


def checked(answer: tuple[Any, ...], doing: str) -> Any:
    """The driver's result (None, or what follows its code).

    Raises:
        AispError: the code is not CUDA_SUCCESS; named with the driver's own explanation.
    """
    code, *results = answer
    if int(code) != 0:
        _, words = binding().cuGetErrorString(code)
        said = words.decode() if isinstance(words, bytes) else "no explanation"
        raise AispError(f"{doing}: {getattr(code, 'name', code)} ({said})")
    return results[0] if results else None
