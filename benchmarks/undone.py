"""On a GPU: does each pair's claim set refute when its optimization, or one step of it, is undone? Prints a table, writes JSON.

    python benchmarks/undone.py -o undone.json [--ceilings FILE] [--captures DIR] [--profile minimal] [ch11:streams=optimized=baseline …]

By default every form of every pair of chapters 11 and 20 that one GPU can run; `ch20:memory_standard` alone means all of a pair's forms.
A form is `variant=other` (the variant runs the other's code), `one_stream` (all streams are one) or `sync` (the optimized variant waits
once more); `aisp_prof.workloads.undone` makes the pairs, `aisp-prof capture` and `report` do the rest. Ends with 0 where every form is
refuted, 1 where one is not, 3 where a capture could not be made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aisp_prof.workloads.registry import find
from aisp_prof.workloads.undone import ONE_STREAM, SYNC, forms

AISP = (sys.executable, "-P", "-m", "aisp_prof")
CHAPTERS = ("ch11", "ch20")
NOTHING_GAINED = {
    (
        "ch09.cublaslt_gemm",
        "optimized=fused",
    ): "an algorithm that was timed is claimed to lose nothing against the heuristics' first",
    ("ch09.cutlass_gemm", "cublas=optimized"): "cuBLAS stands beyond as what to reach, and CUTLASS's kernel is as fast",
    ("ch09.cutlass_gemm_fp4", "cublaslt=optimized"): "a contender, to be held against",
    ("ch09.memory_bound", "optimized=compiled"): "by hand is claimed to be as fast as by the compiler, and no faster",
    ("ch10.attention", "cudnn=sdpa"): "PyTorch chooses cuDNN's kernel by itself, and is not claimed to choose another",
    ("ch10.attention", "optimized=cudnn"): "claimed to be within a tenth of cuDNN's, which skips what is hidden too",
    (
        "ch10.cluster_group",
        "compiled=baseline",
    ): "what the compiler makes is there to be held against, and as fast as the baseline",
    (
        "ch10.cluster_group_no_dsmem",
        "optimized=cooperative",
    ): "another way to meet, claimed to be within a tenth of DSMEM as that is",
    ("ch10.flash_attention", "optimized=cudnn"): "claimed to lose next to nothing against cuDNN's",
    ("ch10.matmul_tcgen05", "roles=ring"): "roles alone are said to gain nothing",
    ("ch10.tcgen05_warp_specialization", "roles=baseline"): "roles alone are said to gain nothing",
    (
        "ch10.tcgen05_warp_specialization",
        "persistent=roles",
    ): "claimed to lose nothing: the gain is that of the steps that need it",
    ("ch11.adaptive_streams", "best_fixed=baseline"): "there to be held against",
    ("ch11.adaptive_streams", "optimized=known"): "there to be held against",
    ("ch11.warp_specialized_triton", "optimized=baseline"): "claimed to make no difference",
}
"""Steps that are no optimization by the pair's own words, or there to be held against: with them undone its claims hold, and should."""
SERIAL = (
    "ch11.streams",
    "ch11.gemm_streams",
    "ch11.distributed_streams",
    "ch11.stream_ordered",
    "ch20.pipeline_sequential",
)
"""Pairs that are about several streams: one for all undoes them."""
WAITS = ("ch20.pipeline_sequential", "ch20.integrated_kv_cache", "ch20.training_single", "ch11.stream_ordered")
"""Pairs that claim how often is waited."""
MODULE = """from aisp_prof.workloads.registry import find
from aisp_prof.workloads.undone import undone

PAIR = undone(find({pair!r})[0], {form!r})
"""
REFUTED = 1


def cases(asked: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pair and form, of those that were named or of all."""
    for name in asked or CHAPTERS:
        selector, _, form = name.partition("=")
        for pair in find(selector):
            key, declaration = pair.key, pair.declaration
            more = [one for one, keys in ((ONE_STREAM, SERIAL), (SYNC, WAITS)) if key in keys]
            every = [one for one in (*forms(declaration), *more) if (key, one) not in NOTHING_GAINED]
            yield from ((key.replace(".", ":", 1), one) for one in ([form] if form else every))


def judged(pair: str, form: str, folder: Path, more: Sequence[str]) -> dict[str, Any]:
    """What the form's capture says: the verdict, and the claims that it refutes; or why there is none."""
    file = folder / f"{pair.replace(':', '_')}_{form.replace('=', '_as_')}.py"
    file.write_text(MODULE.format(pair=pair, form=form))
    captures = folder / "captures"
    made = subprocess.run([*AISP, "capture", str(file), "--captures", str(captures), *more], check=False)
    if made.returncode:
        return {"not_run": f"capture ended with {made.returncode}"}
    report = [*AISP, "report", str(file), "--captures", str(captures), "--format", "html", "--out", str(folder)]
    said = subprocess.run([*report, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if said.returncode not in (0, REFUTED, 4):
        return {"not_run": f"report ended with {said.returncode}"}
    proof = json.loads(said.stdout)["proofs"][0]
    refuted = [claim["text"] for claim in proof["claims"] if claim["verdict"] == "refuted"]
    return {"verdict": proof["verdict"], "exit": said.returncode, "refuted": refuted, "claims": len(proof["claims"])}


def line(pair: str, form: str, answer: dict[str, Any]) -> str:
    if "not_run" in answer:
        return f"{pair:<32} {form:<28} {answer['not_run']}"
    return f"{pair:<32} {form:<28} {answer['verdict']:<9} {len(answer['refuted'])} of {answer['claims']}: {'; '.join(answer['refuted'][:3])}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CHAPTER:PAIR[=FORM]")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--ceilings", metavar="FILE", help="of aisp-prof calibrate; else measured for each")
    parser.add_argument("--captures", type=Path, metavar="DIR", help="keep them here")
    parser.add_argument("--profile", default="", help="as capture has it; minimal leaves counted claims unproven")
    parser.add_argument("--iterations", default="20")
    asked = parser.parse_args()
    named = {"--ceilings": asked.ceilings, "--profile": asked.profile, "--iterations": asked.iterations}
    more = [word for option, value in named.items() if value for word in (option, value)]
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.captures or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for pair, form in cases(asked.cases):
            answer = found[f"{pair}={form}"] = judged(pair, form, folder, more)
            print(line(pair, form, answer), flush=True)
            asked.output.write_text(json.dumps(found, indent=1) + "\n")
    return (
        3
        if any("not_run" in one for one in found.values())
        else int(any(one["verdict"] != "refuted" for one in found.values()))
    )


if __name__ == "__main__":
    raise SystemExit(main())
