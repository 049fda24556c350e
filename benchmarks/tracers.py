"""On a GPU: do Nsight Systems and the package's own tracer say the same, and what does each cost? Prints tables, writes JSON.

    python benchmarks/tracers.py -o tracers.json [--captures DIR] [--no-costs] [ch11:streams …]

Every pair (by default those of chapters 9, 11 and 20) is captured by both, one after the other on this machine; then a program of small
launches and one of steps with a graph and a second thread is timed bare, under nsys and under the tracer, in turn. Captures that are in
DIR already, below the name of their tracer, are compared as they are, which needs no GPU. Ends with 0 where all agree, 1 where
something differs, 3 without a GPU or without one of the tracers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

AISP = (sys.executable, "-P", "-m", "aisp_prof")
TRACERS = ("nsys", "cupti")
CHAPTERS = ("ch09", "ch11", "ch20")
COUNTS = tuple(f"{what}_per_iteration" for what in ("kernels", "copies", "memsets", "launch_calls", "syncs"))
MOST_COST = 1.02
"""Of the perturbation of iterations; and no more than nsys' by this share of the time."""
NO_WORSE = 0.005
TURNS = 5

PROGRAM = """
import json, sys, threading, time
import nvtx, torch
a = torch.randn(2048, 2048, device="cuda", dtype=torch.bfloat16)
host = torch.randn(16 << 20).pin_memory(); there = torch.empty_like(host, device="cuda")
copier, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
a @ a; torch.cuda.synchronize()
with torch.cuda.graph(graph): y = (a + a).relu()
def step():
    with nvtx.annotate("step"):
        with torch.cuda.stream(copier): there.copy_(host, non_blocking=True)
        for _ in range(8): torch.mm(a, a)
        graph.replay()
        other = threading.Thread(target=lambda: torch.mm(a, a)); other.start(); other.join()
        torch.cuda.synchronize()
def small():
    for _ in range(2000): y.add_(1)
    torch.cuda.synchronize()
def best(work):
    times = []
    for _ in range(9):
        began = time.perf_counter(); work(); times.append(time.perf_counter() - began)
    return sorted(times)[4]
step(); small()
json.dump({"step": best(step), "small": best(small)}, open(sys.argv[1], "w"))
"""


class NotHere(Exception):
    """A command ended without an answer: no GPU, no tracer, or a pair that this GPU cannot run. It has said why."""


def run(command: Sequence[str]) -> str:
    """Its output, whatever the verdict."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1, 4):
        raise NotHere(f"exit code {done.returncode}")
    return done.stdout


def captured(pair: str, tracer: str, folder: Path) -> dict[str, Any]:
    """The evidence of a pair that this tracer has captured, or captures now."""
    where = ("--captures", str(folder / tracer))
    if not any((folder / tracer).glob(f"{pair.replace(':', '.', 1)}-*/manifest.json")):
        run([*AISP, "capture", pair, "--tracer", tracer, "--profile", "minimal", *where])
    out = run([*AISP, "report", pair, "--format", "html", "--out", str(folder), *where, "--json"])
    proof: dict[str, Any] = json.loads(out)["proofs"][0]
    return proof


def differences(nsys: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """In what two evidences of one pair differ that should not: counts of every iteration, verdicts, times beyond what tracing costs."""
    found = []
    if own["completeness"]["status"] != "complete":
        found.append(f"the tracer's trace is {own['completeness']['status']}")
    for variant in (proof["name"] for proof in variants(nsys)):
        both = [of_variant(proof, variant)["iterations"] for proof in (nsys, own)]
        if len(both[0]) != len(both[1]):
            found.append(f"{variant}: {len(both[0])} and {len(both[1])} iterations")
        for count in COUNTS:
            numbers = [[one["numbers"][count] for one in iterations] for iterations in both]
            if numbers[0] != numbers[1]:
                found.append(f"{variant}: {count} {numbers[0]} and {numbers[1]}")
        found += _times(variant, nsys, own)
    verdicts = [{claim["text"]: claim["verdict"] for claim in proof["claims"]} for proof in (nsys, own)]
    found += [
        f"{text}: {verdicts[0][text]} and {verdicts[1].get(text)}"
        for text in verdicts[0]
        if verdicts[0][text] != verdicts[1].get(text)
    ]
    return found


def variants(proof: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [proof["baseline"], *proof["between"], proof["optimized"], *proof.get("beyond", ())]


def of_variant(proof: Mapping[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in variants(proof) if one["name"] == name)


def _times(variant: str, nsys: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    found = []
    spans = [
        median(one["end"] - one["start"] for one in of_variant(proof, variant)["iterations"]) for proof in (nsys, own)
    ]
    costs = [proof["perturbation"].get(variant, 1.0) for proof in (nsys, own)]
    allowed = sum(abs(cost - 1) for cost in costs)
    if abs(spans[1] / spans[0] - 1) > allowed:
        found.append(
            f"{variant}: the median iteration differs by {spans[1] / spans[0] - 1:+.2%}, tracing explains {allowed:.2%}"
        )
    if costs[1] > MOST_COST or costs[1] > costs[0] + NO_WORSE:
        found.append(f"{variant}: tracing costs {costs[1]:.3f}, nsys {costs[0]:.3f}")
    return found


def costs(folder: Path) -> dict[str, dict[str, float]]:
    """Medians over turns of the program's own times in seconds: bare and under each tracer, in turn."""
    times: dict[str, list[dict[str, float]]] = {}
    for _ in range(TURNS):
        for how in ("bare", *TRACERS):
            out, program = folder / "times.json", [sys.executable, "-c", PROGRAM, str(folder / "times.json")]
            record = [*AISP, "trace", "record", "--tracer", how, "-o", str(folder / f"{how}.sqlite"), "--"]
            run(program if how == "bare" else [*record, *program])
            times.setdefault(how, []).append(json.loads(out.read_text()))
    return {how: {what: median(one[what] for one in all_) for what in ("step", "small")} for how, all_ in times.items()}


def compared(pair: str, folder: Path) -> dict[str, Any]:
    """A pair by both tracers: `differences`, or why it did not run."""
    try:
        proofs = [captured(pair, tracer, folder) for tracer in TRACERS]
    except NotHere as error:
        return {"not_run": str(error)}
    perturbation = {tracer: proof["perturbation"] for tracer, proof in zip(TRACERS, proofs, strict=True)}
    runs = sum(len(one["iterations"]) for one in variants(proofs[1]))
    same = {"iterations": runs, "claims": len(proofs[1]["claims"])}
    return {"differences": differences(*proofs), "perturbation": perturbation, "compared": same}


def line(pair: str, answer: Mapping[str, Any]) -> str:
    said = answer.get("not_run") or "; ".join(answer["differences"]) or "the same"
    return f"{pair:<40} {said}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", metavar="CHAPTER:PAIR")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--captures", type=Path, metavar="DIR", help="keep them here, and take those that are there")
    parser.add_argument("--no-costs", action="store_true", help="compare captures alone")
    asked = parser.parse_args()
    listed = [row["pair"].replace(".", ":", 1) for row in json.loads(run([*AISP, "list", "--json"]))["rows"]]
    answer: dict[str, Any] = {"pairs": {}}
    with tempfile.TemporaryDirectory() as name:
        for pair in asked.pairs or [pair for pair in listed if pair.startswith(CHAPTERS)]:
            answer["pairs"][pair] = compared(pair, asked.captures or Path(name))
            print(line(pair, answer["pairs"][pair]), flush=True)
            asked.output.write_text(json.dumps(answer, indent=1))
        if all("not_run" in one for one in answer["pairs"].values()):
            return 3
        if not asked.no_costs:
            answer["costs"] = costs(Path(name))
    for how in TRACERS if "costs" in answer else ():
        bare = answer["costs"]["bare"]
        print(f"{how:<6}", *(f"{what} {answer['costs'][how][what] / bare[what]:.3f} of bare" for what in bare))
    asked.output.write_text(json.dumps(answer, indent=1))
    return 1 if any(one.get("differences") for one in answer["pairs"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
