"""One bar at a time, in scans and seconds."""

import re

from shapespace.utils.progress import progress


def test_one_bar_at_a_time(capsys):
    for first in progress(range(2), "outer", unit="scan"):
        with progress(total=3, desc="inner", unit="mesh") as inner:
            inner.update(3)
        assert inner.disable and first < 2
    with progress(total=1, desc="after", unit="scan") as after:
        after.update()
    said = capsys.readouterr().err
    assert "inner" not in said and "outer: 2/2 scan [" in said and "after: 1/1 scan [" in said


def test_a_bar_that_fails_gives_way(capsys):
    for _ in range(2):
        try:
            with progress(total=2, desc="broken", unit="scan"):
                raise KeyError
        except KeyError:
            pass
    assert capsys.readouterr().err.count("broken: 0/2 scan") >= 2


def test_parts_of_a_scan_and_time_alone(capsys):
    with progress(total=2, desc="fitting", unit="scan", parts=True) as bar:
        for _ in range(3):
            bar.update_parts(3, 2)
    with progress(total=0, desc="meshing", unit="") as bar:
        bar.update(5)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert re.fullmatch(r"fitting: 2\.0/2 scan \[00:00<00:00\]", lines[-3]), lines
    assert re.fullmatch(r"meshing \[00:00\]", lines[-1]), lines
