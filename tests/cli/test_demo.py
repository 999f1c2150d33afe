import re
import sys

import pytest

from shapespace.cli.demo import demo
from shapespace.cli.demo_steps import DemoSize, run_demo
from shapespace.errors import InputError

pytest.importorskip("embreex", reason="pictures and the scanner need shapespace[report]")
pytest.importorskip("igl", reason="exact distances need shapespace[report]")

TINY = DemoSize(
    subjects=2,
    motions=("hips", "punching"),
    frames=1,
    num_points=2000,
    fit_points=128,
    resolution=40,
    train=("--trainer.max_epochs=2", "--data.num_points=128"),
)


@pytest.mark.slow
def test_demo_ends_in_a_table_and_one_page_and_resumes(tmp_path):
    text = run_demo(tmp_path / "demo", size=TINY)
    assert "median" in text and "chamfer" in text
    page = (tmp_path / "demo" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 4 and len(page) < 10_000_000
    assert page.count('class="player"') == 1 and "The best and the worst" in page
    assert "mm on average" in page and "not chosen" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    kept = [*(tmp_path / "demo" / "data").rglob("*.ply"), tmp_path / "demo" / "scans.hdf5"]
    kept += [*(tmp_path / "demo" / "unseen").iterdir(), tmp_path / "demo" / "run" / "last.ckpt"]
    before = {path: path.stat().st_mtime_ns for path in kept}
    first, *others = sorted((tmp_path / "demo" / "unseen").glob("*.json"))
    first.unlink()
    again = run_demo(tmp_path / "demo", size=TINY)
    assert again.splitlines()[:-2] == text.splitlines()[:-2]
    untouched = [*(tmp_path / "demo" / "data").rglob("*.ply"), tmp_path / "demo" / "scans.hdf5"]
    assert all(path.stat().st_mtime_ns == before[path] for path in [*untouched, *others])
    assert first.exists()


def test_a_viewer_that_is_missing_is_said_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(InputError, match=r"shapespace\[view\]"):
        demo(out=str(tmp_path / "demo"), view=True)
    assert list(tmp_path.iterdir()) == []
