"""The section about scores: seen and not seen, labelled parts and baselines stand at once."""

from pathlib import Path

from shapespace.report.html import Page
from shapespace.report.run import RunRecord
from shapespace.report.sections.scores import scores
from shapespace.space import TrainedSpace


def test_the_columns_that_matter_and_the_best_poisson_stand_before_the_click(toy_checkpoint):
    def part(value):
        names = ("point_to_mesh", "point_to_mesh_seen", "point_to_mesh_hands", "hausdorff_to")
        return {name: {"p50": value, "mean": value} for name in names}

    summary = {
        "registration": part(0.002),
        "poisson8_registration": part(0.003),
        "poisson9_registration": part(0.001),
    }
    page = Page("run")
    space = TrainedSpace.load(toy_checkpoint)
    record = RunRecord(Path(), space, content={}, config={}, scores={"summary": summary})
    scores(page, record)
    shown = page.sections[0].partition("<details")[0]
    assert "screened Poisson, depth 9 (best), median" in shown
    assert "screened Poisson, depth 8, median" in shown
    assert "point_to_mesh_seen" in shown and "point_to_mesh_hands" in shown
    assert "hausdorff_to" not in shown and "hausdorff_to" in page.sections[0]
    # Statistics that anybody may have written stop nothing.
    summary["poisson8_registration"]["point_to_mesh"]["p50"] = [1, 2]
    summary["poisson9_registration"]["point_to_mesh"]["p50"] = "inf"
    scores(page, record)
    assert "depth 9 (best)" in page.sections[1]
