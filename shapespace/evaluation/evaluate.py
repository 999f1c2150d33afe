"""Evaluation of a trained space: reconstruct unseen scans and measure them beside the baselines."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shapespace.baselines.poisson import DEPTHS
from shapespace.config.options import EvaluationOptions, FitOptions, MeshOptions, ReadOptions
from shapespace.data.formats.contents import grouped_accounts
from shapespace.data.sources import AnySource, Source, find_sources
from shapespace.errors import DiskError, InputError, printable
from shapespace.evaluation.regions import misfit, read_labels
from shapespace.evaluation.scorer import Card, Scorer, read_card, write_card
from shapespace.evaluation.scores import SCORES, SHAPES, Scores, write_csv, write_json
from shapespace.evaluation.tables import LengthUnit, poisson_text, scores_text
from shapespace.reconstruction.inputs import space_of_meshes
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.reconstruction.results import Reconstruction, Reconstructions
from shapespace.utils.files import folder_inside, output_folder, replacing
from shapespace.utils.progress import progress

CARDS = "measured"
"""Folder of the scores of each scan, from which an interrupted evaluation goes on."""
WRITTEN_EVERY = 60.0
"""Seconds after which the files of all scores are written again while scans are measured."""
MOST_NAMES = 5
"""Names that a remark lists."""


@dataclass
class Evaluation:
    """Result of an evaluation.

    Args:
        unit: unit of all lengths.
        cards: what was measured, of the scans that could be.
        facts: facts of the run: checkpoint, options, counts and names.
        skipped: (name, reason) of each scan that could not be measured.
        accounts: (name, how it was read) of each scan.
    """

    unit: LengthUnit
    cards: list[Card] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    accounts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def all_scores(self) -> list[Scores]:
        """Scores of the scans that could be measured."""
        return [card.scores for card in self.cards]

    def write(self, folder: Path, seed: int) -> None:
        """Write scores.csv, scores.json and scores.txt; ``seed`` is that of the bootstrap."""
        write_csv(self.all_scores, folder / "scores.csv")
        write_json(self.all_scores, self.facts, folder / SCORES, seed=seed)
        with replacing(folder / "scores.txt") as temporary:
            text = [scores_text(self.all_scores, self.unit, seed), "", *self.remarks()]
            temporary.write_text("\n".join(text).rstrip() + "\n", "utf-8")

    def noted(self, topic: str) -> list[tuple[str, str]]:
        """(name, note) of the cards that have a note on a topic."""
        return [(card.scores.name, card.notes[topic]) for card in self.cards if topic in card.notes]

    def remarks(self) -> list[str]:
        """Lines that a reader of the numbers has to know, such as skipped scans and seen scans."""
        left, of = self.facts["unmeasured"], self.facts["unmeasured"] + len(self.cards)
        truths = [(f"truth of {name}", account) for name, account in self.noted("truth")]
        lines = []
        if left:
            lines.append(
                f"UNFINISHED: {len(self.cards)} of {of} scans are measured; give the same command "
                "again, which goes on"
            )
        count = self.facts["protocol"]["num_samples"]
        lines.append(f"{count} samples of each mesh, clouds of no more points")
        lines += grouped_accounts([*self.accounts, *truths])
        lines += [f"skipped {name}: {reason}" for name, reason in self.skipped]
        if self.facts["without_poisson"]:
            lines.append(f"no screened Poisson: {self.facts['without_poisson']}")
        lines += grouped_accounts(self.noted("poisson"))
        lines += poisson_text(self.all_scores)
        lines += grouped_accounts(self.noted("labels"))
        seen = self.facts["trained_on"]
        without_truth = self.facts["without_registration"]
        if seen:
            lines.append(f"NOT UNSEEN: {_some(seen)} is the name of a training shape too")
        if without_truth and len(without_truth) < len(self.all_scores):
            lines.append(f"without truth: {_some(without_truth)}")
        if self.facts["groups"] < 2 <= len(self.all_scores):
            lines.append(
                "no intervals: by their names all scans are of one person; --group-end '' draws "
                "each scan by itself"
            )
        return list(map(printable, lines))


def evaluate_scans(
    checkpoint: str | Path,
    sources: Sequence[AnySource],
    out: str | Path,
    truth: str | Path | None = None,
    fit: FitOptions | None = None,
    meshing: MeshOptions | None = None,
    options: EvaluationOptions | None = None,
    *,
    strict: bool = False,
) -> Evaluation:
    """Reconstruct scans into ``out/shapes``, measure them, and write the scores to ``out``.

    Each reconstruction is measured to its own scan (part "scan") and, where ``truth`` has a surface
    of its name, to that surface (part "registration"). Reconstructions that are there already are
    kept, as by ``reconstruct_files``, and so are measurements: ``out/measured`` has a file for each
    scan. An interrupted call leaves the scores of the scans that it has measured, and the same call
    goes on. A scan that cannot be used is skipped and listed.

    Args:
        checkpoint: checkpoint of the space.
        sources: the scans.
        out: folder for the results.
        truth: file or folder of true surfaces with the names of the scans; None without truth.
        fit: how codes are found. Its seed is that of the samples and of the bootstrap too.
        meshing: how scans are read and meshes are made. Its unit and its columns are those of truth
            files too.
        options: how reconstructions are measured.
        strict: raise at the first scan that cannot be used, instead of skipping it.

    Raises:
        InputError: if ``truth`` has none of the names, labels do not fit it, or no scan could be
            measured; or, if ``strict``, one scan or its truth cannot be used.
    """
    fit, meshing = fit or FitOptions(), meshing or MeshOptions()
    options = options or EvaluationOptions()
    # Mistakes are found before the reconstruction, which takes long, and before a folder is made.
    space = space_of_meshes(checkpoint)
    truths = _truths(truth, [source.name for source in sources])
    reading = ReadOptions(meshing.columns, strict)
    scorer = Scorer(
        space=space,
        truths=truths,
        labels=_labels(options.labels, truths, reading),
        fit=fit,
        meshing=meshing,
        options=options,
        reading=reading,
    )
    folder = output_folder(out)
    shapes = folder_inside(folder, SHAPES)
    done = reconstruct_files(checkpoint, sources, shapes, fit=fit, meshing=meshing, strict=strict)
    found = Evaluation(scorer.unit, skipped=list(done.skipped))
    found.accounts = [(item.name, item.facts.get("account", "")) for item in done.done]

    def write() -> None:
        found.facts = _facts(scorer, done, found)
        found.facts["truth"] = None if truth is None else str(Path(truth).resolve())
        found.write(folder, fit.seed)

    by_name = {source.name: source for source in sources}
    pairs = [(item, by_name[item.name]) for item in done.done]
    try:
        _measure(scorer, pairs, found, folder_inside(folder, CARDS), strict=strict, write=write)
    except BaseException:
        # What has been measured can be read, and says that it is not all.
        if found.cards:
            with suppress(InputError):
                write()
        raise
    if not found.cards:
        raise InputError("; ".join(reason for _, reason in found.skipped[:3]))
    write()
    return found


def _measure(
    scorer: Scorer,
    pairs: Sequence[tuple[Reconstruction, AnySource]],
    found: Evaluation,
    folder: Path,
    *,
    strict: bool,
    write: Callable[[], None],
) -> None:
    """Measure reconstructions one after another, each at once into its card.

    Args:
        scorer: measures them.
        pairs: each with its scan.
        found: gets the cards, and the scans that cannot be measured.
        folder: of the cards; those of an earlier call are taken over where nothing has changed.
        strict: raise at the first scan that cannot be measured.
        write: writes the files of all scores; it is called now and then.
    """
    written = time.monotonic()
    for item, source in progress(pairs, "measuring", unit="scan"):
        try:
            key = scorer.key(item, source)
            card = read_card(folder, item.name, key)
            if card is None:
                card = scorer.card(item, source)
                write_card(card, key, folder)
            found.cards.append(card)
        except InputError as error:
            if strict or isinstance(error, DiskError):
                raise
            found.skipped.append((item.name, str(error)))
        if found.cards and time.monotonic() - written > WRITTEN_EVERY:
            write()
            written = time.monotonic()


def _facts(scorer: Scorer, done: Reconstructions, found: Evaluation) -> dict[str, Any]:
    """Facts of the run for scores.json: inputs, options, counts, skipped and seen scans."""
    names = [scores.name for scores in found.all_scores]
    over = {*names, *(name for name, _ in found.skipped)}
    protocol = {
        **asdict(scorer.options),
        "resolution": scorer.meshing.resolution,
        "unit": scorer.meshing.unit,
        "seed": scorer.fit.seed,
        "seen_within": scorer.thresholds.suffix(scorer.thresholds.seen),
    }
    if scorer.options.baselines:
        protocol["poisson_depths"] = list(DEPTHS)
    return {
        "checkpoint": str(scorer.space.path),
        "space": scorer.space.digest,
        "training_shapes": len(scorer.space.codes),
        "unit": scorer.unit,
        "fit": asdict(scorer.fit),
        "protocol": protocol,
        "scans": len(names),
        "unmeasured": sum(item.name not in over for item in done.done),
        "groups": len({scores.group for scores in found.all_scores}),
        "kept": len(done.kept),
        "skipped": [{"name": name, "reason": reason} for name, reason in found.skipped],
        "without_registration": [name for name in names if name not in scorer.truths],
        "without_poisson": scorer.without_poisson,
        "trained_on": sorted(set(names) & set(scorer.space.names)),
        "nearest_training_shape": dict(found.noted("nearest")),
    }


def _labels(
    path: str | None, truths: Mapping[str, Source], reading: ReadOptions
) -> dict[str, np.ndarray]:
    """The labels of the true surfaces; InputError if they do not fit the first that can be read."""
    if path is None:
        return {}
    labels = read_labels(path)
    if not truths:
        raise InputError(f"labels={path}: is of true surfaces; give these by --truth")
    for name, source in truths.items():
        try:
            wrong = misfit(labels, source.load(reading)[0])
        # A surface that cannot be read is skipped when its turn comes.
        except InputError:
            continue
        if wrong:
            raise InputError(f"labels={path}: {wrong} of {name}; give masks over its vertices")
        break
    return labels


def _truths(truth: str | Path | None, names: Sequence[str]) -> dict[str, Source]:
    """Name -> true surface, for the scans that have one."""
    if truth is None:
        return {}
    sources = {source.name: source for source in find_sources(Path(truth))}
    found = {name: sources[name] for name in names if name in sources}
    if not found:
        some = f"it has {next(iter(sources))!r}, the scans are such as {names[0]!r}"
        raise InputError(f"{truth}: has no surface with the name of a scan: {some}")
    return found


def _some(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """The first names as text, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
