"""What is published of ncu's raw page: the columns that numbers are made of, and no host, process or path."""

from __future__ import annotations

from pathlib import Path

import pytest
from aisp_prof.errors import AispError
from aisp_prof.profiler.counters.raw_csv import read_raw_csv
from aisp_prof.profiler.counters.rows import counter_rows
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.store.manifest import folder_facts, read_manifest, write_manifest
from aisp_prof.profiler.store.scrub import scrub_capture, scrub_counters

REAL = Path(__file__).parents[1] / "counters"
HOST = "gpu-host-0007"


def raw_page(folder, name="chain", host=HOST):
    """A small raw page with all that ncu writes about the machine, and a metric that no number is made of."""
    header = (
        "ID,Process ID,Process Name,Host Name,thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg,"
        "Kernel Name,Context,Stream,Block Size,Grid Size,Device,CC,dram__bytes_read.sum,device__attribute_display_name"
    )
    nvtx = '"1  ""aisp:ch99.fake.baseline.measure:none:none:RGB:0xff:REGISTERED:x"" "'
    row = f'0,551,python3.12,{host},{nvtx},{name},1,7,"(1, 1, 1)","(2, 1, 1)",0,9.0,4096,17'
    path = folder / "counters.csv"
    path.write_text(f"==PROF== /home/ada/train.py\n{header}\n,,,,,,,,,,,,byte,\n{row}\n")
    return path


def test_allowed_columns_and_nothing_else(tmp_path):
    scrub_counters(raw_page(tmp_path), tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_text()
    assert "dram__bytes_read.sum" in text
    for private in (HOST, "python3.12", "551", "/home/ada", "display_name", "Context", "REGISTERED"):
        assert private not in text


@pytest.mark.parametrize(
    "name", ["h200-streams.csv", "h200-gemms.csv", "h200-elementwise.csv", "h200-roofline-set.csv"]
)
def test_a_real_page_says_the_same_after_it(tmp_path, name):
    scrub_counters(REAL / name, tmp_path / "out.csv")
    assert counter_rows(read_raw_csv(tmp_path / "out.csv")) == counter_rows(read_raw_csv(REAL / name))


def test_a_host_in_a_kernels_name_is_refused(tmp_path):
    with pytest.raises(AispError, match="private"):
        scrub_counters(raw_page(tmp_path, name=f"chain_{HOST}"), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_capture_keeps_its_counters_and_no_report(manifest, tmp_path):
    folder = tmp_path / "captures" / manifest.id
    folder.mkdir(parents=True)
    raw_page(folder)
    for report in ("counters.ncu-rep", "sections.ncu-rep"):
        (folder / report).write_bytes(b"NVR /home/ada")
    counted = {
        "tier": "counted", "ncu": "2025.3.1.0", "files": ["counters.ncu-rep", "counters.csv"], "iterations": 2,
        "reason": "", "mend": "", "sections": "sections.ncu-rep", "sections_reason": "in /home/ada/x",
    }  # fmt: skip
    ceilings = {"unsupported": [{"name": "fp8", "reason": "no file /home/ada/y"}]}
    whole = manifest.changed(profile="deep", counters=counted, ceilings=ceilings, files=folder_facts(folder))
    write_manifest(whole, folder)
    done = scrub_capture(Capture(folder, whole), tmp_path / "published")
    assert sorted(path.name for path in done.folder.iterdir()) == ["counters.csv", "manifest.json"]
    told = read_manifest(done.folder)
    assert (told.counters.files, told.counters.sections) == (["counters.csv"], "")
    assert "/home/ada" not in (done.folder / "manifest.json").read_text()
    assert done.verify_files() == ()
    assert read_raw_csv(done.folder / "counters.csv")[0].metrics == {"dram__bytes_read.sum": 4096}
