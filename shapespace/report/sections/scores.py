"""Sections of a report that tell how good a space is: its metric card, its field certificate.

Both are read from files as they are, with whatever columns those have.
"""

from collections.abc import Mapping
from typing import Any

from shapespace.evaluation import tables as card_text
from shapespace.evaluation.definitions import LETTERS
from shapespace.evaluation.tables import (
    SHORT,
    TARGETS,
    LengthUnit,
    cell,
    number,
    titled,
)
from shapespace.report import html as report
from shapespace.report.run import DIAGNOSTICS, RunRecord, file_in

BASELINES = dict(card_text.BASELINES)
"""Prefix of the parts of a card that a method must beat, and what they are called."""
PERCENTILES = {"p5": "5 %", "p50": "median", "p95": "95 %", "mean": "mean"}
INTERVALS = {"median_ci": "median, 95 % CI", "mean_ci": "mean, 95 % CI"}
MOST_ITEMS = 24
"""Of a list of facts."""
Summary = Mapping[str, Mapping[str, Any]]
"""Column -> name of a statistic -> its value."""


def scores(page: report.Page, record: RunRecord) -> None:
    """Percentiles over the shapes of each measure, with the conventions named in full."""
    if record.scores is None:
        return
    summary: Mapping[str, Summary] = record.scores.get("summary", {})
    conventions = {name: str(text) for name, text in record.scores.get("conventions", {}).items()}
    unit = record.unit
    blocks = [_short_table(summary, part, unit) for part in TARGETS if summary.get(part)]
    means = {titled(name, unit): conventions[name] for name in conventions}
    found = {titled(n, unit) for n in SHORT for part in TARGETS if n in summary.get(part, {})}
    blocks.append(report.definition_list([each for each in means.items() if each[0] in found]))
    full = [_full_table(summary, part, unit) for part in summary]
    blocks.append(report.details("all measures", *full))
    blocks.append(report.details("what each of them is", report.definition_list([*means.items()])))
    facts = [[name, plain(value)] for name, value in record.scores.get("facts", {}).items()]
    if facts:
        blocks.append(report.details("how it was measured", report.definition_list(facts)))
    page.section(
        "Scores",
        f"{len(record.shapes)} reconstructed shapes: percentiles over the shapes, and how sure "
        f"median and mean are. {LETTERS}",
        *blocks,
    )


def diagnostics(page: report.Page, record: RunRecord) -> None:
    """How far the field is from a signed distance."""
    if record.diagnostics is None:
        return
    found = record.diagnostics
    meaning = {name: str(text) for name, text in found.get("meaning", {}).items()}
    rows = [
        [name, number(of.get("median")), number(of.get("worst"))]
        for name, of in found.get("summary", {}).items()
        if isinstance(of, Mapping)
    ]
    page.section(
        "Is it a distance? (diagnostics, sampled)",
        f"The field of {len(found.get('shapes', []))} training shapes at sampled points: a signed "
        "distance has a gradient of length 1, no other sheets and no surprises along a ray.",
        report.bullets([str(line) for line in found.get("verdict", [])]),
        report.note(f"{page_of.name}, beside the checkpoint, has pictures.")
        if (page_of := file_in(record.folder, DIAGNOSTICS).with_suffix(".html")).is_file()
        else "",
        report.details("all numbers", report.table(("", "median", "worst"), rows)),
        report.details(
            "what each of them is", report.definition_list([*map(list, meaning.items())])
        ),
    )


def plain(value: Any) -> str:
    """Nested plain data as words."""
    if isinstance(value, Mapping):
        return plain([f"{key} {plain(each)}" for key, each in value.items()])
    if not isinstance(value, list | tuple):
        return str(value)
    more = [f"and {len(value) - MOST_ITEMS} more"] if len(value) > MOST_ITEMS else []
    return ", ".join([*map(plain, value[:MOST_ITEMS]), *more])


def _short_table(summary: Mapping[str, Summary], part: str, unit: LengthUnit) -> str:
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
            [titled(name, unit), *(cell(name, value, unit) for value in (*values, *others))]
        )
    return report.table(header, rows)


def _full_table(summary: Mapping[str, Summary], part: str, unit: LengthUnit) -> str:
    keys = {**PERCENTILES, **INTERVALS}
    rows = [
        [titled(name, unit), *(cell(name, of.get(key), unit) for key in keys)]
        for name, of in summary[part].items()
        if isinstance(of, Mapping)
    ]
    return report.table([TARGETS.get(part, part.replace("_", " ")), *keys.values()], rows)
