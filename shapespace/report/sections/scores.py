"""Sections about the quality of a space: its scores and the diagnostics of its field.

Both come from files as they are, with whatever columns the files have.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shapespace.evaluation import tables
from shapespace.evaluation.definitions import LETTERS
from shapespace.evaluation.tables import (
    TARGETS,
    LengthUnit,
    best_poisson,
    cell,
    number,
    short_names,
    titled,
)
from shapespace.report import html as report
from shapespace.report.run import DIAGNOSTICS, RunRecord, name_in
from shapespace.utils.plain import is_value
from shapespace.utils.text import in_words

BASELINES = dict(tables.BASELINES)
"""Prefix of the parts of a baseline -> name of the baseline."""
PERCENTILES = {"p5": "5 %", "p50": "median", "p95": "95 %", "mean": "mean"}
"""Key of a statistic -> title of its column."""
INTERVALS = {"median_ci": "median, 95 % CI", "mean_ci": "mean, 95 % CI"}
"""Key of a confidence interval -> title of its column."""
MOST_UNKNOWN = 12
"""Columns that are shown at once of a part whose columns this version does not know."""
Summary = Mapping[str, Mapping[str, Any]]
"""Column of the scores -> key of a statistic -> value."""


def scores(page: report.Page, record: RunRecord) -> None:
    """Add the percentiles of each score over the shapes, and the definition of each score."""
    if record.scores is None:
        return
    summary: Mapping[str, Summary] = record.scores.get("summary", {})
    conventions: Mapping[str, str] = record.scores.get("conventions", {})
    unit = record.unit
    blocks = [_short_table(summary, part, unit) for part in TARGETS if summary.get(part)]
    shown = {name for part in TARGETS for name in short_names(summary.get(part, {}))}
    definitions = {name: (titled(name, unit), text) for name, text in conventions.items()}
    blocks.append(
        report.definition_list([row for name, row in definitions.items() if name in shown])
    )
    full = [_full_table(summary, part, unit) for part in summary]
    blocks.append(report.details("all scores", *full))
    blocks.append(report.details("definitions", report.definition_list(list(definitions.values()))))
    facts = [[name, in_words(value)] for name, value in record.scores.get("facts", {}).items()]
    if facts:
        blocks.append(report.details("how it was measured", report.definition_list(facts)))
    page.section(
        "Scores",
        f"{len(record.shapes)} reconstructed shapes: percentiles over the shapes, and confidence "
        f"intervals of median and mean. {LETTERS}",
        *blocks,
    )


def diagnostics(page: report.Page, record: RunRecord) -> None:
    """Add the verdict and the numbers of the diagnostics: how far the field is from a distance."""
    if record.diagnostics is None:
        return
    found = record.diagnostics
    meaning = list(found.get("meaning", {}).items())
    rows = [
        [name, number(ends.get("median")), number(ends.get("worst"))]
        for name, ends in found.get("summary", {}).items()
    ]
    blocks = [report.bullets(found.get("verdict", []))]
    pictures = record.folder / Path(name_in(record.folder, DIAGNOSTICS)).with_suffix(".html")
    if pictures.is_file() and not pictures.is_symlink():
        blocks.append(report.note(f"{pictures.name}, beside the checkpoint, has pictures."))
    blocks.append(report.details("all numbers", report.table(("", "median", "worst"), rows)))
    blocks.append(report.details("definitions", report.definition_list(meaning)))
    page.section(
        "Is it a distance? (diagnostics, sampled)",
        f"The field of {len(found.get('shapes', []))} training shapes. A signed distance has a "
        "gradient of length 1 and no sheets beside the shape, and its sphere tracing never steps "
        "through the surface. All numbers are estimates from samples, not guarantees.",
        *blocks,
    )


def _short_table(summary: Mapping[str, Summary], part: str, unit: LengthUnit) -> str:
    """A table of the best known columns of a part, with the medians of the baselines.

    Args:
        summary: Part of the scores -> statistics of its columns.
        part: The part to show.
        unit: The unit of lengths in the scores.
    """
    columns = short_names(summary[part]) or list(summary[part])[:MOST_UNKNOWN]
    baselines = [prefix for prefix in BASELINES if f"{prefix}_{part}" in summary]
    titles = {**PERCENTILES, **INTERVALS}
    best = best_poisson(_medians(summary))
    header = [
        TARGETS[part],
        *titles.values(),
        *(f"{BASELINES[each]}{' (best)' * (each == best)}, median" for each in baselines),
    ]
    rows = []
    for name in columns:
        medians = [summary[f"{each}_{part}"].get(name, {}).get("p50") for each in baselines]
        values = [*(summary[part][name].get(key) for key in titles), *medians]
        rows.append(_row(name, values, unit))
    return report.table(header, rows)


def _medians(summary: Mapping[str, Summary]) -> dict[str, dict[str, float]]:
    """Part -> column -> median over the shapes, of the columns that have one."""
    return {
        part: {
            name: float(values["p50"])
            for name, values in columns.items()
            if values.get("p50") is not None and is_value(values["p50"])
        }
        for part, columns in summary.items()
    }


def _full_table(summary: Mapping[str, Summary], part: str, unit: LengthUnit) -> str:
    """A table of all columns of a part."""
    titles = {**PERCENTILES, **INTERVALS}
    rows = [
        _row(name, [statistics.get(key) for key in titles], unit)
        for name, statistics in summary[part].items()
    ]
    return report.table([TARGETS.get(part, part.replace("_", " ")), *titles.values()], rows)


def _row(column: str, values: Sequence[Any], unit: LengthUnit) -> list[str]:
    """The title of a column of the scores, then its values as text."""
    return [titled(column, unit), *(cell(column, value, unit) for value in values)]
