"""Sections of a report that tell how good a space is: its metric card, its field certificate.

Both are read from files as they are, with whatever columns those have.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from shapespace import report
from shapespace.run_record import CERTIFICATE, RunRecord

SHORT = (
    *("chamfer_half_unsquared", "point_to_mesh", "accuracy_exact", "completeness_exact"),
    *("hausdorff", "fscore_5mm", "completeness_exact_median", "normal_consistency", "volume_iou"),
    "sampling_floor",
)
"""Columns of a card that are shown at once; the others open with a click."""
TARGETS = {"registration": "to the true surface", "scan": "to the raw scan"}
BASELINES = {"nearest": "nearest training shape", "mean": "mean shape"}
"""Prefix of the parts of a card that a method must beat, and what they are called."""
PERCENTILES = {"p5": "5 %", "p50": "median", "p95": "95 %", "mean": "mean"}
INTERVALS = {"median_ci": "median, 95 % CI", "mean_ci": "mean, 95 % CI"}
NO_LENGTHS = re.compile(
    "fscore|precision|recall|share|normal|iou|ratio|cosine|watertight|converged|outliers|"
    "strangeness|faces|components|genus|steps|^fit$|^mesh$|^metrics$|^baselines$|seconds|count|volume"
)

MOST_ITEMS = 24
"""Of a list of facts."""

Summary = Mapping[str, Mapping[str, Any]]
"""Column -> name of a statistic -> its value."""


def metric_card(page: report.Page, record: RunRecord) -> None:
    """Percentiles over the shapes of each measure, with the conventions named in full."""
    if record.card is None:
        return
    summary: Mapping[str, Summary] = record.card.get("summary", {})
    conventions = {name: str(text) for name, text in record.card.get("conventions", {}).items()}
    metres = record.metres
    blocks = [_short_table(summary, part, metres) for part in TARGETS if summary.get(part)]
    means = {titled(name, metres): conventions[name] for name in conventions}
    shown = {titled(n, metres) for n in SHORT for part in TARGETS if n in summary.get(part, {})}
    blocks.append(report.words([each for each in means.items() if each[0] in shown]))
    full = [_full_table(summary, part, metres) for part in summary]
    blocks.append(report.details("all measures", *full))
    blocks.append(report.details("what each of them is", report.words([*means.items()])))
    facts = [[name, plain(value)] for name, value in record.card.get("facts", {}).items()]
    if facts:
        blocks.append(report.details("how it was measured", report.words(facts)))
    page.section(
        "How far off",
        f"{len(record.shapes)} reconstructed shapes: percentiles over the shapes, and how sure "
        "median and mean are.",
        *blocks,
    )


def certificate(page: report.Page, record: RunRecord) -> None:
    """How far the field is from a signed distance."""
    if record.certificate is None:
        return
    found = record.certificate
    meaning = {name: str(text) for name, text in found.get("meaning", {}).items()}
    rows = [
        [name, number(of.get("median")), number(of.get("worst"))]
        for name, of in found.get("summary", {}).items()
        if isinstance(of, Mapping)
    ]
    page.section(
        "Is it a distance?",
        f"The field certificate of {len(found.get('shapes', []))} training shapes: a signed "
        "distance has a gradient of length 1, no other sheets and no surprises along a ray.",
        report.bullets([str(line) for line in found.get("verdict", [])]),
        report.note(f"{page_of.name}, beside the checkpoint, has pictures.")
        if (page_of := (record.folder / CERTIFICATE).with_suffix(".html")).is_file()
        else "",
        report.details("all numbers", report.table(("", "median", "worst"), rows)),
        report.details("what each of them is", report.words([*map(list, meaning.items())])),
    )


def length_factor(column: str, metres: bool = True) -> float:
    """What a column of a card is multiplied by to be read in mm or mm²; 1 if it is no length.

    metres: whether lengths of the card are in metres; the unit is not named otherwise.
    """
    if not metres or NO_LENGTHS.search(column):
        return 1.0
    return 1e6 if re.search(r"(?<!un)squared|^area$", column) else 1e3


def titled(column: str, metres: bool = True) -> str:
    """The name of a column and its unit."""
    return column + {1.0: "", 1e3: ", mm", 1e6: ", mm²"}[length_factor(column, metres)]


def cell(column: str, value: Any, metres: bool = True) -> str:
    """A value of a column, or an interval, as it is read."""
    if isinstance(value, list | tuple):
        return " to ".join(cell(column, each, metres) for each in value)
    if isinstance(value, bool) or value is None:
        return number(value)
    return number(float(value) * length_factor(column, metres))


def number(value: Any) -> str:
    """Three significant figures; a dash for nothing."""
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    found = float(value)
    if not np.isfinite(found):
        return "–" if np.isnan(found) else "∞"
    if isinstance(value, int) or abs(found) >= 1000:
        return f"{found:.0f}"
    return f"{found:#.3g}".removesuffix(".")


def plain(value: Any) -> str:
    """Nested plain data as words."""
    if isinstance(value, Mapping):
        return plain([f"{key} {plain(each)}" for key, each in value.items()])
    if not isinstance(value, list | tuple):
        return str(value)
    more = [f"and {len(value) - MOST_ITEMS} more"] if len(value) > MOST_ITEMS else []
    return ", ".join([*map(plain, value[:MOST_ITEMS]), *more])


def _short_table(summary: Mapping[str, Summary], part: str, metres: bool) -> str:
    """The best known columns of a part, with what the baselines reach."""
    columns = [name for name in SHORT if name in summary[part]]
    if not columns:
        columns = list(summary[part])[: len(SHORT)]
    baselines = [prefix for prefix in BASELINES if f"{prefix}_{part}" in summary]
    keys = {**PERCENTILES, **INTERVALS}
    header = [TARGETS[part], *keys.values(), *(f"{BASELINES[each]}, median" for each in baselines)]
    rows = []
    for name in columns:
        others = [summary[f"{each}_{part}"].get(name, {}).get("p50") for each in baselines]
        values = [summary[part][name].get(key) for key in keys]
        rows.append(
            [titled(name, metres), *(cell(name, value, metres) for value in (*values, *others))]
        )
    return report.table(header, rows)


def _full_table(summary: Mapping[str, Summary], part: str, metres: bool) -> str:
    keys = {**PERCENTILES, **INTERVALS}
    rows = [
        [titled(name, metres), *(cell(name, of.get(key), metres) for key in keys)]
        for name, of in summary[part].items()
        if isinstance(of, Mapping)
    ]
    return report.table([TARGETS.get(part, part.replace("_", " ")), *keys.values()], rows)
