"""Scores, their summary, and the files and tables that they go to."""

import csv
import json
import math

import numpy as np
import pytest

from shapespace.evaluation.definitions import definition
from shapespace.evaluation.scores import Scores, columns, group_of, summary, write_csv, write_json
from shapespace.evaluation.tables import (
    DISTANCES,
    MESH,
    best_poisson,
    pair_table,
    poisson_text,
    scores_text,
    short_names,
    short_rows,
    short_table,
)
from shapespace.utils.text import aligned


def made(name, chamfer, watertight=True, **more):
    registration = {"chamfer_half_unsquared": chamfer, "fscore_5mm": 0.5}
    parts = {"registration": registration, "mesh": {"watertight": watertight, "components": 1}}
    return Scores(name, group_of(name), parts | more)


ALL_SCORES = [
    made("60001_hips_000001", 0.001),
    made("60001_hips_000002", 0.002, watertight=False),
    made("60002_hips_000001", 0.009, fit={"steps": 12}),
]


def test_the_group_of_a_name_is_the_person():
    assert group_of("60001_hips_000001") == "60001"
    assert group_of("armadillo") == "armadillo"
    assert group_of("a-b_c", "-") == "a"
    assert group_of("a_b", "") == "a_b"


def test_the_summary_is_over_the_shapes_that_have_a_column():
    found = summary(ALL_SCORES)
    item = found["registration"]["chamfer_half_unsquared"]
    assert (item.p50, item.shapes, item.groups) == (0.002, 3, 2)
    assert item.mean == pytest.approx(0.004, rel=1e-12)
    assert found["fit"]["steps"].shapes == 1 and found["fit"]["steps"].mean_ci is None
    assert found["mesh"]["watertight"].mean == pytest.approx(2 / 3)
    assert list(columns(ALL_SCORES))[-1] == ("fit", "steps")
    assert summary([]) == {}


def test_the_csv_holds_exact_numbers(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    write_csv(ALL_SCORES, path)
    rows = list(csv.DictReader(path.open(newline="")))
    assert [row["name"] for row in rows] == [scores.name for scores in ALL_SCORES]
    for row, each in zip(rows, ALL_SCORES, strict=True):
        found = float(row["registration.chamfer_half_unsquared"])
        assert found == each.parts["registration"]["chamfer_half_unsquared"]
    assert [row["fit.steps"] for row in rows] == ["", "", "12"]
    assert rows[1]["mesh.watertight"] == "False"


def test_the_json_says_what_its_numbers_are(tmp_path):
    path = tmp_path / "scores.json"
    lost = made("60003_hips_000001", math.inf)
    write_json([*ALL_SCORES, lost], {"unit": "m"}, path)
    found = json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(word))
    assert list(found) == ["letters", "conventions", "facts", "shapes", "summary"]
    assert found["facts"] == {"unit": "m"}
    said = definition("chamfer_half_unsquared").text
    assert found["conventions"]["chamfer_half_unsquared"] == said
    first, last = found["shapes"][0], found["shapes"][-1]
    assert (first["name"], first["group"]) == ("60001_hips_000001", "60001")
    assert first["registration"]["chamfer_half_unsquared"] == 0.001
    assert last["registration"]["chamfer_half_unsquared"] == "inf"
    item = found["summary"]["registration"]["chamfer_half_unsquared"]
    assert item["p95"] == item["mean"] == "inf" and len(item["median_ci"]) == 2
    assert set(item) == {
        *("p5", "p50", "p95", "mean", "median_ci", "mean_ci", "shapes", "groups"),
    }


def test_short_rows_are_in_millimetres_and_end_with_the_median():
    shorts = (DISTANCES[0], DISTANCES[1], *MESH)
    head, *rows, median = short_rows(ALL_SCORES, shorts)
    assert head == ["mm", "chamfer", "point-to-mesh", "watertight", "components"]
    assert rows[1] == ["60001_hips_000002", "2.00", "-", "NO", "1"]
    assert median == ["median", "2.00", "-", "2/3", "1"]
    header, *lines = aligned([head, *rows, median])
    assert len({len(line) for line in (header, *lines)}) == 1
    text = short_table(ALL_SCORES, shorts)
    assert definition("chamfer_half_unsquared").text in text


def test_without_a_unit_lengths_stay_as_they_are():
    head, row, _ = short_rows([made("ball", 0.25)], DISTANCES[:1], "none")
    assert (head[0], row) == ("", ["ball", "0.25"])


def test_an_infinite_distance_stops_no_table():
    lost = made("60003_hips_000001", math.inf)
    assert "inf" in short_table([lost], DISTANCES) and "inf" in scores_text([lost, *ALL_SCORES])


def test_the_text_has_every_number_over_shapes_with_its_interval_and_meaning():
    text = scores_text(ALL_SCORES)
    assert "registration, 3 shapes" in text
    (line,) = [each for each in text.splitlines() if each.startswith("chamfer_half_unsquared mm")]
    assert line.split()[2:6] == ["1.10", "2.00", "8.30", "4.00"] and " to " in line
    assert all(f"\n{column}: " in text for _, column in columns(ALL_SCORES))


def test_baselines_stand_beside_the_space():
    nearest = {"nearest_registration": {"chamfer_half_unsquared": 0.03}}
    found = [Scores(c.name, c.group, {**c.parts, **nearest}) for c in ALL_SCORES]
    lines = scores_text(found).splitlines()
    (ours,) = [line for line in lines if line.startswith("the space ")]
    (theirs,) = [line for line in lines if line.startswith("nearest training shape ")]
    assert "2.00" in ours and "30.00" in theirs


def test_the_best_poisson_is_named_and_each_scan_takes_its_better_depth():
    def beside(name, ours, eight, nine):
        parts = {
            part: {"point_to_mesh": value, "point_to_mesh_seen": value / 2}
            for part, value in (
                ("registration", ours),
                ("poisson8_registration", eight),
                ("poisson9_registration", nine),
            )
        }
        return Scores(name, name, parts)

    found = [beside("a", 2, 4, 1), beside("b", 2, 3, 5), beside("c", 2, 3, math.inf)]
    text = scores_text(found)
    assert "screened Poisson, depth 8 (best)" in text and text.count("(best)") == 1
    (line,) = poisson_text(found)
    assert line.endswith("depth: as a whole on 2 of 3 scans, where seen on 2 of 3 scans")
    assert poisson_text(ALL_SCORES) == [] and best_poisson({}) == ""
    scan = {"completeness_exact": 2.0}
    assert best_poisson({"poisson9_scan": scan, "scan": scan}) == "poisson9"
    names = ["faces", "point_to_mesh_hands", "seen_share", "point_to_mesh"]
    assert short_names(names) == ["point_to_mesh", "seen_share", "point_to_mesh_hands"]


def test_pairs_stand_side_by_side():
    lines = pair_table(ALL_SCORES[:2]).splitlines()
    assert lines[0].split() == [scores.name for scores in ALL_SCORES[:2]]
    assert lines[1].split()[:4] == ["chamfer_half_unsquared", "mm", "1.00", "2.00"]
    assert np.all([definition("watertight").text in text for text in lines if "watertight" in text])


def test_a_spreadsheet_takes_no_name_for_a_formula(tmp_path):
    parts = {"scan": {"a": -0.5}}
    names = ["=1+1", "+a", "-a", "@a", "\ta", "a=1", "'a"]
    write_csv([Scores(name, name, parts) for name in names], tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    shown = ["'=1+1", "'+a", "'-a", "'@a", "'\ta", "a=1", "'a"]
    assert [row["name"] for row in rows] == [row["group"] for row in rows] == shown
    assert {row["scan.a"] for row in rows} == {"-0.5"}
