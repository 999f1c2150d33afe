"""The text for many scans, and duplicates of more than two."""

import json
from dataclasses import replace

import pytest

from shapespace.data.check import CheckReport, Finding, ScanFacts
from shapespace.data.check.cloud import Reading
from shapespace.data.check.report import by_severity
from shapespace.data.check.rules import findings_of
from shapespace.data.check.sets import Setting, findings_of_set

FACTS = ScanFacts("a", dimension=3, num_points=9, size=(1.0, 2.0, 1.0), reach=1.0, sigma=0.01)


def report(facts=(FACTS,), findings=()):
    return CheckReport("some/folder", False, "m", 1.8, tuple(facts), by_severity(findings))


def finding(kind, level, *names, remedy="mend it"):
    return Finding(kind, level, names, "is 2; 1 is the rule", remedy)


def test_many_scans_are_grouped_by_kind():
    names = [f"s{i:04d}" for i in range(2000)]
    text = str(report(findings=[finding("scale", "error", name) for name in reversed(names)]))
    assert "ERROR scale: 2000 scans" in text and text.count("mend it") == 1
    assert "s0009:" in text and "s0010:" not in text and "and 1990 more" in text
    assert text.endswith("2000 errors: training should not start")


@pytest.mark.parametrize(
    ("levels", "ok", "strict", "verdict"),
    [
        ([], True, True, "ready to train (nothing found)"),
        (["note"], True, True, "ready to train (1 note)"),
        (["note", "warning", "warning"], True, False, "ready to train (2 warnings, 1 note)"),
        (["warning", "error"], False, False, "1 error, 1 warning: training should not start"),
    ],
)
def test_verdict(levels, ok, strict, verdict):
    made = report(findings=[finding("k", level, f"n{i}") for i, level in enumerate(levels)])
    assert (made.ok, made.strict_ok, str(made).splitlines()[-1]) == (ok, strict, verdict)


def test_errors_come_first():
    found = [finding("b", "note", "x"), finding("c", "warning", "x"), finding("d", "error", "y")]
    found += [finding("d", "error", "x"), finding("a", "warning", "x")]
    ranked = [(f.level, f.kind, f.names[0]) for f in by_severity(found)]
    assert ranked == [
        *(("error", "d", "x"), ("error", "d", "y")),
        *(("warning", "a", "x"), ("warning", "c", "x"), ("note", "b", "x")),
    ]


def test_names_stay_on_one_line():
    text = str(report(findings=[finding("k", "error", "bad\nname\x1b[31m")]))
    assert "bad name\\x1b[31m:" in text


def test_nothing_was_read():
    broken = ScanFacts("a", error="a.ply: no", error_kind="unreadable")
    text = str(report([broken], [finding("unreadable", "error", "a")]))
    assert "percentiles" not in text and "scans 1" in text
    assert json.loads(report([], []).as_json())["scans"] == []


def test_duplicates_are_one_group():
    same = [replace(FACTS, name=n, source_hash=h) for n, h in zip("abcd", "xxyx", strict=True)]
    moved = replace(FACTS, name="e", source_hash="z", moments=(1.0, 0.5))
    again = replace(FACTS, name="f", source_hash="x", moments=(1.0 + 1e-9, 0.5))
    other = replace(FACTS, name="g", source_hash="w", moments=(1.0, 0.51))
    fewer = replace(FACTS, name="h", source_hash="v", moments=(1.0, 0.5), num_points=8)
    found = findings_of_set([*same, moved, again, other, fewer], Setting("m", 1.8))
    assert [(f.kind, f.names) for f in found] == [("duplicate", tuple("abdef"))]
    (two,) = findings_of_set(same, Setting("m", 1.8))
    assert two.names == ("a", "b", "d") and two.measured == "the same bytes"


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (1, None),
        (1000, "are these millimetres?"),
        (100, "are these centimetres?"),
        (1e7, "--normalise"),
        (1e-3, "--normalise"),
    ],
)
def test_units_that_fit(times, words):
    scan = replace(FACTS, size=(float(times), 2.0 * times, float(times)), reach=float(times))
    found = findings_of_set([scan], Setting("m", 1.8))
    assert [f.level for f in found] == ([] if words is None else ["error"])
    assert words is None or words in found[0].measured + found[0].remedy
    assert findings_of_set([scan], Setting("radius", 1.8)) == []


def test_clutter_has_a_remedy_that_was_not_tried():
    for cleaned, remedy in ((False, "prepare with --clean, or"), (True, "--clean took it for the")):
        reading = Reading(cleaned=cleaned)
        facts = replace(FACTS, num_points=900, reach_all=9.0, isolated=0.1, reading=reading)
        (found,) = [each for each in findings_of(facts, 1.8) if each.kind == "clutter"]
        assert found.remedy.startswith(remedy) and "stray points reach 9" in found.measured
