"""A headless Chromium for tests of pages; skips where there is none."""

import re
import shutil
import subprocess
import tempfile

import pytest

from tests.waiting import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-background-networking", "--disable-sync"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--virtual-time-budget=8000", "--window-size=900,1400"),
)


def program():
    """The path of the browser; skips where there is none."""
    found = next((found for name in NAMES if (found := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser among {', '.join(NAMES)}")
    return found


def opened(path):
    """The page as the browser has it in the end, and what its console said."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program(), *OPTIONS, f"--user-data-dir={folder}", "--dump-dom", path.as_uri()]
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout, re.findall(r'CONSOLE[^"]*"(.*)", source', run.stderr)
