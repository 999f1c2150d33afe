"""What the tests of data share: the folder of files that show faults of public reports."""

import pytest


@pytest.fixture
def reports(shared):
    """The folder ``reports`` of the shared data; skips where there is none."""
    folder = shared / "data" / "reports"
    if not folder.is_dir():
        pytest.skip(f"no reports at {folder}")
    return folder
