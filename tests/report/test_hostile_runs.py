"""The page of a run folder that a stranger made: nothing outside is touched, nothing breaks."""

import base64
import io
import os
import re
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from shapespace.cli.main import main
from tests.run_folders import OUTSIDE, SECRET, VARIANTS, folders, good_run, make_outside, spoil
from tests.sandbox import outcomes

pytest.importorskip("embreex", reason="pictures need shapespace[report]")
pytest.importorskip("igl", reason="exact distances need shapespace[report]")

SECONDS = 10
PRELOAD = (
    *("shapespace.report.page", "shapespace.cli.quality", "shapespace.config.arguments"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    *("PIL.ImageFont", "PIL.ImageDraw", "PIL.PngImagePlugin", "embreex", "igl"),
)
"""What each page needs is imported once."""
BLOB = re.compile(r"base64,([A-Za-z0-9+/=]+)")


def write_page(case):
    """Spoil a copy of a good run and write its page: exit code, output, page, files opened outside.

    Animation and codes are left out: they depend on the checkpoint alone.
    """
    from shapespace.report.sections import cases, space

    space.animation = space.codes = lambda *_, **__: None
    cases.HEIGHT = 24
    os.fsync = lambda _: None
    good, variants, place = case
    place = Path(place)
    outside = place / OUTSIDE
    make_outside(outside)
    spoil(Path(shutil.copytree(good, place / "run")), variants)
    before = contents(outside)
    seen = set()

    def note(event, arguments):
        if event == "open" and isinstance(arguments[0], str | bytes | Path):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path.startswith((str(outside.resolve()), "/dev/zero", "/etc/passwd")):
                seen.add(path)

    sys.addaudithook(note)
    os.chdir(place)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(["report", "run", "--out", "page.html", "--resolution", "4", "--steps", "1"])
    opened = sorted(seen)
    page = (place / "page.html").read_text("utf-8") if (place / "page.html").exists() else ""
    shown = said.getvalue() + page + "".join(map(str, map(base64.b64decode, BLOB.findall(page))))
    return {
        "code": code,
        "said": said.getvalue(),
        "whole": "</html>" in page,
        "secret": SECRET in shown,
        "opened": opened,
        "changed": contents(outside) != before,
        "raw": re.findall("[\x00-\x08\x0b-\x1f\x7f\u202e]", said.getvalue()),
    }


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def faults(outcome):
    """What is wrong with the page of one folder."""
    if outcome.died:
        return [outcome.died.strip().splitlines()[-1]]
    found = outcome.value
    wrong = {
        "no page": found["code"] != 0 or not found["whole"],
        "shows the secret": found["secret"],
        f"opened {found['opened']}": found["opened"] != [],
        "changed a file outside": found["changed"],
        f"raw characters {found['raw']}": found["raw"] != [],
    }
    slow = outcome.seconds > SECONDS
    return [text for text, is_so in wrong.items() if is_so] + ["slow"] * slow


def pages(good, cases, tmp_path):
    """The outcome of each list of variants."""
    tasks = []
    for number, variants in enumerate(cases):
        place = tmp_path / f"{number}"
        place.mkdir()
        tasks.append((str(good), variants, str(place)))
    return outcomes(write_page, tasks, *PRELOAD)


def test_the_page_of_a_run_that_anybody_made(toy_checkpoint, tmp_path):
    assert sum(map(len, VARIANTS.values())) > 150
    good = good_run(tmp_path / "good", toy_checkpoint)
    cases = [[], *folders()]
    found = pages(good, cases, tmp_path)
    wrong = {str(case): faults(one) for case, one in zip(cases, found, strict=True)}
    assert {case: bad for case, bad in wrong.items() if bad} == {}
