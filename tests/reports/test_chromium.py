"""The document in a real browser: no complaint in its console, both grounds, a timeline that answers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from aisp_prof.profiler.evidence import Evidence
from aisp_prof.reports.page import render_html

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH"),
]
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--window-size=900,1400",
]

DRIVER = """
const chart = document.querySelector("svg.timeline.wide"), paths = () => chart.querySelector("path[data-kind]").getAttribute("d");
const press = (key) => chart.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
const whole = paths(); press("+"); const zoomed = paths(); press("ArrowRight"); const moved = paths();
press("."); const tip = document.querySelector(".tip"); const told = tip.hidden ? "" : tip.textContent;
press("0"); const back = paths();
const wheel = new WheelEvent("wheel", {deltaY: -100, cancelable: true}); chart.dispatchEvent(wheel);
document.title = JSON.stringify([whole !== zoomed, zoomed !== moved, back === whole, paths() === whole,
  wheel.defaultPrevented, chart.tabIndex, told.includes("ms") || told.includes("µs")]);
"""


def browse(page: Path, profile: Path, *options: str) -> tuple[str, str]:
    """The browser's stdout and the lines that the page wrote to its console."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *QUIET, f"--user-data-dir={profile}", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.parametrize("ground", ["light", "dark"])
def test_the_page_is_drawn_without_a_complaint(evidence: Evidence, tmp_path: Path, ground: str) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(render_html("ch11", [evidence]), "utf-8")
    dark = ["--blink-settings=preferredColorScheme=0"] if ground == "dark" else []
    _, console = browse(page, tmp_path / "profile", f"--screenshot={picture}", *dark)
    assert console == ""
    assert picture.stat().st_size > 30_000


def test_the_timeline_zooms_by_key_and_leaves_plain_scrolling_alone(evidence: Evidence, tmp_path: Path) -> None:
    html = render_html("ch11", [evidence])
    page = tmp_path / "page.html"
    open_policy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    page.write_text(open_policy.replace("</body>", f"<script>{DRIVER}</script></body>"), "utf-8")
    document, console = browse(page, tmp_path / "profile", "--dump-dom")
    assert console == ""
    assert "<title>[true,true,true,true,false,0,true]</title>" in document
