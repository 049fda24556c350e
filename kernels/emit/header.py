"""The first line of a candidate's source: it tells a loader what the kernel was written for and how to launch it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import UsageError

MARK = "aisp-prof candidate"
VERSION = 1
_LINE = re.compile(rf"// {MARK} v(\d+) (\{{.*\}})")


@dataclass(frozen=True, slots=True)
class Header:
    """How a kernel is launched: ceil(count / per_block) blocks of `block` threads, one-dimensional, no dynamic shared memory.

    spec       the spec's digest
    per_block  rows, or elements where `arguments` ends with "elements", that one block handles
    arguments  names of inputs (pointers), "out" (a pointer), then sizes (int64)
    """

    spec: str
    entry: str
    block: int
    per_block: int
    arguments: tuple[str, ...]

    def line(self) -> str:
        return f"// {MARK} v{VERSION} {json.dumps(asdict(self))}"

    @classmethod
    def read(cls, source: str, where: str) -> Header:
        """Of the first line of a source.

        Raises:
            UsageError: it is missing or malformed.
        """
        match = _LINE.fullmatch(source.partition("\n")[0].rstrip())
        if match is None:
            raise UsageError(
                f"{where} does not begin with a candidate's header", "aisp-prof kernels emit SPEC -o FILE.cu"
            )
        if match[1] != str(VERSION):
            raise UsageError(f"{where}: its header is of version {match[1]}, not {VERSION}", "emit it anew")
        try:
            return cls._checked(json.loads(match[2]))
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{where}: its header is damaged: {error}", "emit it anew") from error

    @classmethod
    def _checked(cls, data: Any) -> Header:
        header = cls(data["spec"], data["entry"], data["block"], data["per_block"], tuple(data["arguments"]))
        if not re.fullmatch(r"[0-9a-f]{64}", header.spec) or not re.fullmatch(r"[A-Za-z_]\w*", header.entry):
            raise ValueError("spec or entry")
        if type(header.block) is not int or type(header.per_block) is not int:
            raise ValueError("block or per_block is no integer")
        if not (1 <= header.block <= 1024 and header.per_block >= 1 and len(data) == 5):
            raise ValueError("block, per_block or the number of fields")
        return header
