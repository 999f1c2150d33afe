"""Held-out scans are measured against exact answers, and the training does not notice it."""

import math

import numpy as np
import pytest
import torch
import yaml

from shapespace.checkpoint import BEST, read_checkpoint
from shapespace.codes import LatentCodes
from shapespace.data.store.store import ScanStore
from shapespace.decoders.base import Decoder
from shapespace.errors import InputError
from shapespace.planning.estimate import estimate_run
from shapespace.report.page import write_report
from shapespace.scan import Scan
from shapespace.training.datamodule import ScanData
from shapespace.training.statistics import METRICS, Validated, read_metrics
from shapespace.training.validation.held_out import (
    HeldOut,
    errors_of,
    frozen_decoder,
    read_held_out,
    spaced,
)
from tests.conftest import RADII, ellipsoid
from tests.planning.test_estimate import JOB, MEASURED
from tests.training.test_cli import assert_same_run

ALWAYS = ["--validation.every=1", "--validation.share=1e9", "--validation.num_points=300"]


class Balls(Decoder):
    """Balls of radius exp(z) about the origin."""

    latent_size = 1

    def __init__(self, dimension=3, slope=1.0):
        super().__init__()
        self.dimension = dimension
        self.slope = slope

    def forward(self, points, latent):
        return self.slope * (torch.linalg.vector_norm(points, dim=-1) - latent.exp())


def sphere(count, radius=1.0, dimension=3, seed=0):
    directions = np.random.default_rng(seed).normal(size=(count, dimension))
    return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def held_out(points, unseen=None):
    scan = Scan(torch.tensor([0]), torch.from_numpy(points)[None].float(), None, None)
    return HeldOut("ball", scan, unseen)


def codes_of(values):
    codes = LatentCodes(len(values), 1)
    codes.table.weight.data[:, 0] = torch.tensor(values)
    return codes


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize(("kind", "slope"), [("distance", 1.0), ("logit", 5.0)])
def test_a_ball_that_the_space_has_is_at_no_distance(dimension, kind, slope):
    codes = codes_of([-0.5, -0.2, 0.1, 0.4])
    given = held_out(sphere(400, 1.3, dimension), sphere(50, 1.5, dimension, seed=1))
    found = errors_of(Balls(dimension, slope), codes, given, kind=kind, extent=1.8)
    assert found.seen == pytest.approx(0, abs=2e-3)
    assert found.unseen == pytest.approx(0.2, abs=3e-3), "the places lie on a larger ball"


def test_what_is_not_known_is_no_number():
    nothing = held_out(np.zeros((0, 3)), np.zeros((0, 3)))
    found = errors_of(Balls(), codes_of([0.0, 0.1]), nothing, kind="distance", extent=1.8)
    assert math.isnan(found.seen) and math.isnan(found.unseen)


def test_the_decoder_is_left_alone(toy_checkpoint):
    from shapespace.space import TrainedSpace

    space = TrainedSpace.load(toy_checkpoint)
    decoder = space.decoder.train()
    frozen = frozen_decoder(decoder)
    assert decoder.training and not frozen.training
    assert all(a is not b for a, b in zip(decoder.parameters(), frozen.parameters(), strict=True))


def test_places_far_from_the_scan_are_not_seen(write_store, tmp_path):
    """The scan is half of the ball that the other store has whole, in another frame."""
    from shapespace.data.formats.readers import checked
    from shapespace.data.prepare.points import prepare_scan
    from shapespace.data.store.writer import StoreWriter

    whole = sphere(3000)
    parts = {"scan": whole[whole[:, 2] > 0], "truth": whole}
    for name, points in parts.items():
        with StoreWriter(tmp_path / f"{name}.hdf5", "m", 3) as writer:
            raw = checked(points + 5, normals=points)
            writer.add(prepare_scan(raw, "ball", source="x", source_hash="0" * 64))
    scan, truth = (ScanStore(tmp_path / f"{name}.hdf5") for name in parts)
    found = read_held_out(scan, "ball", truth, 2000)
    assert found.unseen is not None
    back = scan.frame("ball").to_source(found.unseen) - 5
    # The store draws its points from all, so that a few near the rim are not in the scan.
    below = whole[whole[:, 2] <= 0]
    assert len(found.unseen) == pytest.approx(min(2000, len(below)), rel=0.1)
    assert (back[:, 2] < 0.1).mean() > 0.98
    assert np.linalg.norm(back, axis=1) == pytest.approx(1, abs=1e-3)


def test_names_are_evenly_spaced():
    assert spaced("abcde", 3) == ["a", "c", "e"] and spaced("ab", 3) == ["a", "b"]
    assert spaced("abcde", 1) == ["a"]


def test_the_best_is_the_mean_of_what_is_known():
    validated = Validated(columns=("val_seen", "val_unseen"))
    assert validated.error == math.inf and validated.row() == {"val_seen": "", "val_unseen": ""}
    validated.take({"val_seen": 1.0, "val_unseen": 3.0})
    assert validated.error == 2
    validated.take({"val_seen": 1.0, "val_unseen": math.nan})
    assert validated.error == 1
    validated.forget()
    assert validated.error == math.inf


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """Two scans to train on and two that are held out."""
    folder = tmp_path_factory.mktemp("lists")
    (folder / "train.txt").write_text("ball\negg\n")
    (folder / "test.txt").write_text("lens\nmelon\n")
    return folder


@pytest.fixture(scope="module")
def options(lists, toy_store):
    return [
        f"--data.scans={lists / 'train.txt'}",
        f"--data.validation={lists / 'test.txt'}",
        f"--data.truth={toy_store}",
        *ALWAYS,
    ]


@pytest.fixture(scope="module")
def validated_run(train, options, tmp_path_factory):
    return train(tmp_path_factory.mktemp("validated") / "run", 4, *options)


def test_the_training_is_the_same_with_and_without(train, validated_run, lists, tmp_path):
    plain = train(tmp_path / "run", 4, f"--data.scans={lists / 'train.txt'}")
    one, two = (read_checkpoint(path) for path in (plain, validated_run))
    for name, value in one["state_dict"].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, two["state_dict"][name]), name
    rows = [read_metrics(path.with_name(METRICS)) for path in (plain, validated_run)]
    for before, after in zip(*rows, strict=True):
        assert all(after[name] == before[name] for name in before if name != "seconds")
        assert float(after["val_seen"]) > 0
        # The true surface is the scan itself: nothing is unseen.
        assert after["val_unseen"] == "nan"


def test_a_resumed_run_validates_as_an_undisturbed_one(train, options, validated_run, tmp_path):
    train(tmp_path / "run", 2, *options)
    again = train(tmp_path / "run", 4, *options)
    assert_same_run(validated_run, again)
    states = [read_checkpoint(path)["callbacks"]["Validation"] for path in (validated_run, again)]
    assert states[0]["lowest"] == states[1]["lowest"]


def test_the_best_checkpoint_is_that_of_the_lowest_error(validated_run):
    rows = read_metrics(validated_run.with_name(METRICS))
    errors = [float(row["val_seen"]) for row in rows]
    best = read_checkpoint(validated_run.with_name(BEST))
    assert best["global_step"] == int(rows[errors.index(min(errors))]["step"])
    assert best["callbacks"]["Validation"]["lowest"] == pytest.approx(min(errors))


def test_epochs_between_have_empty_cells(train, options, tmp_path):
    done = train(tmp_path / "run", 3, *options, "--validation.every=2")
    cells = [row["val_seen"] for row in read_metrics(done.with_name(METRICS))]
    assert cells[0] == cells[2] == "" and float(cells[1]) > 0


def test_beyond_the_share_only_the_first_is_done(train, options, tmp_path):
    done = train(tmp_path / "run", 4, *options, "--validation.share=1e-9")
    cells = [row["val_seen"] for row in read_metrics(done.with_name(METRICS))]
    assert cells[0] != "" and cells[1:] == ["", "", ""]


def test_the_report_draws_the_errors(validated_run, tmp_path):
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    write_report(validated_run.parent, out=page)
    assert "errors of held-out scans over the steps" in page.read_text()


def test_wrong_lists_are_refused(toy_store, lists, write_store, tmp_path):
    both, none, empty = (tmp_path / name for name in ("both.txt", "none.txt", "empty.txt"))
    both.write_text("ball\n")
    none.write_text("cube\n")
    empty.write_text("\n")
    train = str(lists / "train.txt")
    held = str(lists / "test.txt")
    other = str(write_store(tmp_path / "other.hdf5", {"cube": RADII["ball"]}))
    for options, said in (
        ({"validation": str(both)}, r"'ball' is trained on too.* data split"),
        ({"validation": str(none)}, r"no scan is called 'cube'"),
        ({"validation": str(empty)}, r"empty\.txt: "),
        ({"truth": str(toy_store)}, r"data\.truth=.* give that list too"),
        ({"validation": held, "truth": other}, r"holds no scan called 'lens'"),
    ):
        with pytest.raises(InputError, match=said):
            ScanData(str(toy_store), train, num_points=10, **options)


def test_the_plan_counts_the_time(capsys, toy_arguments, options):
    from dataclasses import replace

    from shapespace.planning.cli import plan

    job = replace(JOB, held_out=6, validate_every=2, validation_share=10.0)
    # ranks share the scans: two each, of 1.5 seconds, five times in ten epochs
    found = estimate_run(job, replace(MEASURED, validation=1.5))
    assert found["validation_hours"] * 3600 == pytest.approx(5 * 2 * 1.5)
    bounded = estimate_run(replace(job, validation_share=0.1), replace(MEASURED, validation=1.5))
    assert bounded["validation_hours"] * 3600 == pytest.approx(3.0 + 0.1 * 50)
    assert estimate_run(JOB, MEASURED)["validation_hours"] == 0
    measured = plan([*toy_arguments, *options, "--trainer.max_epochs=3"])
    assert measured["validation_hours"] > 0
    assert "of which validation" in capsys.readouterr().out


def test_the_config_says_what_was_held_out(validated_run, lists):
    config = yaml.safe_load(validated_run.with_name("config.yaml").read_text())
    assert config["data"]["validation"] == str(lists / "test.txt")
    assert config["validation"]["every"] == 1


def test_ellipsoids_are_found_nearer_with_training(validated_run):
    rows = read_metrics(validated_run.with_name(METRICS))
    assert float(rows[-1]["val_seen"]) < float(rows[0]["val_seen"]) < ellipsoid((2, 2, 2))[0].max()
