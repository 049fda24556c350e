"""A folder of files named by their content: nothing in it is ever overwritten, and nothing can be altered unnoticed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import AispError, UsageError
from ...machine.files import write_whole

FOLDER = Path("artifacts")
"""Below the current folder, unless another is named."""

_NAME = re.compile(r"(kernel|log|verdict)-([0-9a-f]{64})\.(cu|py|json)")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Artifacts:
    """`kind-<SHA-256 of the bytes>.suffix`: candidates (.cu, .py), logs of how they were written and verdicts (.json)."""

    folder: Path

    def put(self, kind: str, suffix: str, data: bytes) -> Path:
        """Store `data` unless it is there, and return where it lies.

        Raises:
            UsageError: the folder cannot be written to.
            AispError: a file of that name holds something else.
        """
        path = self.folder / f"{kind}-{digest(data)}.{suffix}"
        try:
            if path.exists():
                self.get(path)
                return path
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        except OSError as error:
            raise UsageError(f"cannot write to {self.folder}: {error.strerror}", "--artifacts FOLDER") from error
        return path

    def put_json(self, kind: str, data: Mapping[str, Any]) -> Path:
        text = json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"
        return self.put(kind, "json", text.encode())

    def get(self, path: Path) -> bytes:
        """The bytes of one of its files.

        Raises:
            AispError: the content is not what the name says.
        """
        data = path.read_bytes()
        match = _NAME.fullmatch(path.name)
        if match is None or digest(data) != match[2]:
            raise AispError(f"{path} was altered: its content does not have the hash in its name", "delete it")
        return data

    def verdicts(self) -> list[dict[str, Any]]:
        """Every verdict, the newest last.

        Raises:
            AispError: one was altered.
        """
        verdicts = [json.loads(self.get(path)) for path in self.folder.glob("verdict-*.json")]
        return sorted(verdicts, key=lambda one: (str(one["made_utc"]), str(one["status"])))
