"""Leave of a trace of torch.profiler what the reader reads, so that it can be committed: no stacks, shapes, hosts or settings.

python reduce.py TRACE.json.gz OUT.json.gz
"""

import gzip
import json
import sys
from pathlib import Path

CATEGORIES = {"kernel", "gpu_memcpy", "gpu_memset", "cuda_runtime", "cuda_driver", "user_annotation", "cpu_op"}
ARGUMENTS = {"correlation", "device", "context", "stream", "bytes", "graph node id", "grid", "block", "Collective name",
             "In msg nelems", "Out msg nelems", "Group size", "dtype", "Process Group Name", "Process Group Ranks"}  # fmt: skip
EVENT = ("ph", "cat", "name", "pid", "tid", "ts", "dur")


def reduced(document: dict) -> dict:
    """The events of these categories with these arguments, and what the trace says of its devices and its clock."""
    events = [e for e in document["traceEvents"] if e.get("ph") == "X" and e.get("cat") in CATEGORIES]
    kept = [
        {name: e[name] for name in EVENT if name in e}
        | ({"args": {k: v for k, v in e["args"].items() if k in ARGUMENTS}} if "args" in e else {})
        for e in events
    ]
    devices = [{"id": d["id"], "name": d["name"]} for d in document.get("deviceProperties", [])]
    used = {e["args"]["device"] for e in kept if "device" in e.get("args", {})}
    said = {name: document[name] for name in ("schemaVersion", "baseTimeNanoseconds") if name in document}
    if "distributedInfo" in document:
        said["distributedInfo"] = {name: document["distributedInfo"][name] for name in ("rank", "world_size")}
    return said | {"deviceProperties": [d for d in devices if d["id"] in used], "traceEvents": kept}


def main(source: Path, target: Path) -> None:
    document = json.loads(gzip.decompress(source.read_bytes()))
    text = json.dumps(reduced(document), separators=(",", ":"), ensure_ascii=False)  # repr keeps the digits of a double
    with target.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(text.encode())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
