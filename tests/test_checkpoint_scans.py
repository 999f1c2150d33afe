"""Scans come and go, and each keeps its code and all that its optimiser knows of it."""

import os
import shutil
import signal
from copy import deepcopy

import numpy as np
import pytest
import torch

from shapespace.checkpoint import (
    CHECKPOINT,
    PLACE,
    PREVIOUS,
    SCANS,
    TABLE,
    read_checkpoint,
    write_checkpoint,
)
from shapespace.checkpoint_scans import with_scans
from shapespace.cli.describe import describe
from shapespace.cli.main import main
from shapespace.errors import InputError, Stopped
from shapespace.reconstruction.edit_codes import add_scans, drop_scans
from shapespace.scan import Frame
from shapespace.space import TrainedSpace
from shapespace.training.callbacks.divergence import DivergenceMonitor
from shapespace.training.datamodule import ScanData
from shapespace.training.module import ShapeSpace
from shapespace.training.statistics import METRICS, read_metrics
from tests.conftest import RADII
from tests.training.test_cli import assert_equal

NAMES = tuple(RADII)
KINDS = {
    "rows": (),
    "dense": ("--model.code_optimiser=dense",),
    "muon": ("--model.optimiser=muon",),
    "no code": ("--model.decoder.latent_size=0",),
    "mid-epoch": ("--data.repeats=3", "--trainer.max_steps=8"),
}


@pytest.fixture(scope="module")
def checkpoints(train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    return {kind: train(folder / kind, 2, *options) for kind, options in KINDS.items()}


@pytest.fixture(params=KINDS)
def content(request, checkpoints):
    """A checkpoint of each kind of training."""
    return read_checkpoint(checkpoints[request.param])


@pytest.fixture(scope="module")
def six(write_store, tmp_path_factory):
    """A store of the four and two more."""
    radii = {**RADII, "pear": (0.8, 1.1, 0.9), "ufo": (1.2, 0.6, 1.2)}
    return write_store(tmp_path_factory.mktemp("six") / "six.hdf5", radii)


def scans_of(content):
    """By name: frame, code and what the optimiser knows of the row, all bit for bit."""
    extra, moments = content["state_dict"][SCANS], content["optimizer_states"][-1]["state"]
    per_row = {key: value for key, value in moments[0].items() if value.dim()}
    assert len(per_row) >= 2
    return {
        name: [
            extra["centres"][row],
            extra["scales"][row],
            content["state_dict"][TABLE][row],
            {key: value[row] for key, value in per_row.items()},
        ]
        for row, name in enumerate(extra["names"])
    }


def others_of(content):
    """All but the scans and the place in the data."""
    rest = {key: value for key, value in content.items() if key != PLACE}
    rest["state_dict"] = {k: v for k, v in rest["state_dict"].items() if k not in (TABLE, SCANS)}
    *rest["optimizer_states"], of_codes = rest["optimizer_states"]
    rest["hyper_parameters"] = {**rest["hyper_parameters"], "num_scans": None}
    scalars = {k: v for k, v in of_codes["state"][0].items() if not v.dim()}
    return [rest, of_codes["param_groups"], scalars]


def new_scan(content, value=0.5):
    length = content["state_dict"][TABLE].shape[1]
    return Frame(np.array([1.0, 2.0, 3.0]), 2.0), torch.full((length,), value)


def test_lightning_keeps_the_place_under_that_name():
    assert ScanData.__qualname__ == PLACE


def test_the_same_scans_are_the_same_checkpoint(content):
    assert with_scans(content, NAMES) is content


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (1, 2, 3, 0), (1, 0, 2, 3)])
def test_a_reordering_moves_rows_by_name_and_nothing_else(content, order):
    kept = deepcopy(content)
    names = [NAMES[row] for row in order]
    turned = with_scans(content, names)
    assert turned["state_dict"][SCANS]["names"] == names
    assert_equal(scans_of(turned), {name: scans_of(content)[name] for name in names})
    assert_equal(others_of(turned), others_of(content))
    assert_equal(content, kept)
    back = with_scans(turned, NAMES)
    assert_equal({**back, PLACE: 0}, {**content, PLACE: 0})


def test_dropped_scans_leave_the_others_alone(content):
    fewer = with_scans(content, ["lens", "ball"])
    assert fewer["hyper_parameters"]["num_scans"] == 2
    left = scans_of(fewer)
    assert list(left) == ["lens", "ball"]
    assert_equal(left, {name: scans_of(content)[name] for name in left})
    assert_equal(others_of(fewer), others_of(content))


def test_added_scans_begin_with_their_code_and_no_visit(content):
    frame, code = new_scan(content)
    more = with_scans(content, [*NAMES, "pear"], {"pear": (frame, code)})
    assert more["hyper_parameters"]["num_scans"] == 5
    found = scans_of(more)
    centre, scale, row, moments = found.pop("pear")
    assert (centre, scale) == ([1.0, 2.0, 3.0], 2.0) and torch.equal(row, code)
    assert all(not value.any() for value in moments.values())
    assert_equal(found, scans_of(content))
    assert_equal(others_of(more), others_of(content))


def test_added_and_dropped_is_as_before_but_for_the_place(content):
    more = with_scans(content, ["pear", *NAMES], {"pear": new_scan(content)})
    back = with_scans(more, NAMES)
    assert_equal({**back, PLACE: 0}, {**content, PLACE: 0})


def test_dropped_and_added_again_has_its_code(content):
    fewer = with_scans(content, ["ball", "lens", "melon"])
    code = content["state_dict"][TABLE][1]
    frame = Frame(np.array(content["state_dict"][SCANS]["centres"][1]), 1.0)
    again = with_scans(fewer, NAMES, {"egg": (frame, code)})
    assert_equal(again["state_dict"], content["state_dict"])
    before, after = scans_of(content), scans_of(again)
    assert all(not value.any() for value in after.pop("egg")[-1].values())
    del before["egg"]
    assert_equal(after, before)


def test_an_epoch_that_was_begun_begins_anew(checkpoints):
    begun = read_checkpoint(checkpoints["mid-epoch"])
    assert begun[PLACE] == {"visits": 16, "visits_of_an_epoch": 12}
    assert with_scans(begun, NAMES[::-1])[PLACE] == {"visits": 12, "visits_of_an_epoch": 12}
    done = read_checkpoint(checkpoints["rows"])
    assert with_scans(done, NAMES[::-1])[PLACE] == done[PLACE]


def test_a_checkpoint_before_the_first_step_or_without_optimisers_has_rows_too(content):
    *others, of_codes = content["optimizer_states"]
    early = {**content, "optimizer_states": [*others, {**of_codes, "state": {}}]}
    assert with_scans(early, ["egg"])["optimizer_states"] == early["optimizer_states"]
    del early["optimizer_states"], early[PLACE]
    assert len(with_scans(early, ["egg"])["state_dict"][TABLE]) == 1


def test_an_unknown_name_is_answered_with_the_nearest(content):
    with pytest.raises(InputError, match=r"'melom' is not one of the 4.*the nearest is 'melon'"):
        with_scans(content, ["ball", "melom"])


class Loaded(Exception):  # noqa: N818
    """Carries a module that is about to train."""


@pytest.fixture
def loaded(monkeypatch, train):
    """What a resumed training begins with, as a content of a checkpoint."""

    def run(folder, *options, then=lambda module: None):
        def stop(self):
            raise Loaded(self)

        with monkeypatch.context() as patch, pytest.raises(Loaded) as caught:
            patch.setattr(ShapeSpace, "on_train_start", stop)
            train(folder, 9, *options)
        (module,) = caught.value.args
        then(module)
        states = [optimiser.state_dict() for optimiser in module.trainer.optimizers]
        return {"state_dict": module.state_dict(), "optimizer_states": states}

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_a_resume_with_the_scans_in_another_order(kind, checkpoints, train, loaded, tmp_path):
    before = read_checkpoint(checkpoints[kind])
    shutil.copytree(checkpoints[kind].parent, tmp_path / "run")
    order = ("melon", "ball", "lens", "egg")
    (tmp_path / "list.txt").write_text("\n".join(order))
    options = [option for option in KINDS[kind] if "max_steps" not in option]
    options.append(f"--data.scans={tmp_path / 'list.txt'}")
    now = scans_of(loaded(tmp_path / "run", *options))
    assert tuple(now) == order
    assert_equal(now, {name: scans_of(before)[name] for name in order})
    after = read_checkpoint(train(tmp_path / "run", 3, *options))
    assert tuple(scans_of(after)) == order
    assert {name: value[:2] for name, value in scans_of(after).items()} == {
        name: value[:2] for name, value in scans_of(before).items()
    }
    assert after["global_step"] > before["global_step"]


@pytest.fixture
def stopped(train, monkeypatch, tmp_path):
    """A training stopped by a signal after step 8, the second of the second of its epochs."""
    step = ShapeSpace.training_step

    def planned(self, batch, batch_idx):
        step(self, batch, batch_idx)
        if self.trainer.global_step == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ShapeSpace, "training_step", planned)
    with pytest.raises(Stopped):
        train(tmp_path / "run", 3, "--data.repeats=3")
    monkeypatch.undo()
    return tmp_path / "run" / CHECKPOINT


def test_with_more_scans_the_epoch_that_was_begun_is_done_whole(stopped, train, six, tmp_path):
    new = tmp_path / "new.ckpt"
    assert add_scans(stopped, six, new) == ("pear", "ufo")
    # One scan a step: a row counts a step as one visit.
    options = ["--data.repeats=3", "--data.batch_size=1", f"--data.store={six}"]
    done = train(tmp_path / "more", 3, *options, f"--ckpt_path={new}")
    rows = read_metrics(done.with_name(METRICS))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "26"), ("2", "44")]
    before, after = (visits_of(path) for path in (stopped, done))
    assert after == {"pear": 6, "ufo": 6} | {name: count + 6 for name, count in before.items()}


def visits_of(path):
    return {name: int(scan[-1]["visits"]) for name, scan in scans_of(read_checkpoint(path)).items()}


def test_the_means_of_an_epoch_begun_anew_are_of_that_epoch(stopped, train, six, tmp_path):
    add_scans(stopped, six, tmp_path / "new.ckpt")
    options = ["--data.repeats=3", f"--data.store={six}", f"--ckpt_path={tmp_path / 'new.ckpt'}"]
    done = read_checkpoint(train(tmp_path / "more", 2, *options))
    assert done["shapespace"]["means"]["num_scans"] == 18


@pytest.mark.parametrize("kind", ["rows", "dense", "muon", "no code"])
@pytest.mark.parametrize("start", ["mean", "zero", "fit"])
def test_a_training_goes_on_with_added_scans(kind, start, checkpoints, train, six, tmp_path):
    new = tmp_path / "new.ckpt"
    assert add_scans(checkpoints[kind], six, new, start=start) == ("pear", "ufo")
    space, before = TrainedSpace.load(new), TrainedSpace.load(checkpoints[kind])
    assert space.names == (*NAMES, "pear", "ufo")
    assert torch.equal(space.codes.table.weight[:4], before.codes.table.weight)
    added = space.codes.table.weight[4:]
    if start == "zero":
        assert not added.any()
    if start == "mean":
        assert torch.equal(added, before.codes.table.weight.mean(0).expand_as(added))
    options = [*KINDS[kind], f"--data.store={six}", f"--ckpt_path={new}"]
    done = TrainedSpace.load(train(tmp_path / "run", 3, *options))
    assert set(done.names) == {*NAMES, "pear", "ufo"}
    assert not torch.equal(next(done.decoder.parameters()), next(before.decoder.parameters()))


def test_a_fitted_start_is_the_code_that_a_fit_without_pose_finds(checkpoints, six, tmp_path):
    from shapespace.data.store.store import ScanStore
    from shapespace.fitting import Search

    add_scans(checkpoints["rows"], six, tmp_path / "new.ckpt", ["ufo", "ball"], "fit")
    space, before = (
        TrainedSpace.load(path) for path in (tmp_path / "new.ckpt", checkpoints["rows"])
    )
    assert space.names == (*NAMES, "ufo")
    found = before.fit([ScanStore(six).scan("ufo")], search=Search(freedom="none"))
    assert torch.equal(space.code("ufo"), found.codes[0])


def test_dropped_scans_are_gone_and_a_training_goes_on(checkpoints, train, tmp_path):
    new, names = tmp_path / "new.ckpt", tmp_path / "list.txt"
    assert drop_scans(checkpoints["rows"], ["egg", "lens", "egg"], new) == ("ball", "melon")
    assert TrainedSpace.load(new).names == ("ball", "melon")
    assert "space of 2 shapes" in describe(new)
    names.write_text("melon\nball\n")
    done = train(tmp_path / "run", 3, f"--ckpt_path={new}", f"--data.scans={names}")
    assert TrainedSpace.load(done).names == ("melon", "ball")


def test_what_is_known_of_bad_scans_stays(checkpoints, tmp_path):
    content = read_checkpoint(checkpoints["rows"])
    (key,) = [key for key in content["callbacks"] if key == DivergenceMonitor().state_key]
    content["callbacks"][key]["counts"] = {"egg": 2, "melon": 1}
    write_checkpoint(content, tmp_path / "old.ckpt")
    drop_scans(tmp_path / "old.ckpt", ["ball"], tmp_path / "new.ckpt")
    kept = read_checkpoint(tmp_path / "new.ckpt")["callbacks"][key]["counts"]
    assert kept == {"egg": 2, "melon": 1}


def test_a_training_that_goes_back_puts_the_rows_in_its_order(checkpoints, loaded, tmp_path):
    shutil.copytree(checkpoints["rows"].parent, tmp_path / "run")
    (tmp_path / "list.txt").write_text("\n".join(NAMES[::-1]))

    def go_back(module):
        with torch.no_grad():
            module.codes.table.weight.fill_(torch.nan)
        with pytest.warns(UserWarning, match="going back to step 4"):
            DivergenceMonitor()._go_back(module.trainer, module, float("nan"))

    now = loaded(tmp_path / "run", f"--data.scans={tmp_path / 'list.txt'}", then=go_back)
    before = scans_of(read_checkpoint(checkpoints["rows"]))
    assert_equal(scans_of(now), {name: before[name] for name in NAMES[::-1]})


def test_the_checkpoint_itself_may_be_replaced(checkpoints, tmp_path):
    shutil.copytree(checkpoints["rows"].parent, tmp_path / "run")
    path = tmp_path / "run" / CHECKPOINT
    before = path.read_bytes()
    drop_scans(path, ["egg"], path)
    assert TrainedSpace.load(path).names == ("ball", "lens", "melon")
    assert path.with_name(PREVIOUS).read_bytes() == before


@pytest.fixture
def refused(capsys, toy_checkpoint, tmp_path):
    """Call ``shapespace codes`` in vain; the one line of the error."""

    def run(command, *arguments):
        out = tmp_path / "out" / "new.ckpt"
        words = ["codes", command, toy_checkpoint, *arguments, "--out", out]
        assert main([str(word) for word in words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert not out.parent.exists()
        return line.partition("shapespace codes: error: ")[2]

    return run


def test_the_commands(checkpoints, six, tmp_path, capsys):
    more, fewer, listed = (tmp_path / name for name in ("more.ckpt", "fewer.ckpt", "names.txt"))
    assert main(["codes", "add", str(checkpoints["rows"]), str(six), "--out", str(more)]) == 0
    assert capsys.readouterr().out == f"wrote {more}: scans added: 2, start: mean\n"
    listed.write_text("ufo\n")
    drop = ["codes", "drop", str(more), "--scans", str(listed), "--names", "pear", "egg"]
    assert main([*drop, "--out", str(fewer)]) == 0
    assert capsys.readouterr().out == f"wrote {fewer}: scans left: 3\n"
    assert TrainedSpace.load(fewer).names == ("ball", "lens", "melon")


def test_mistakes_in_dropping(refused, tmp_path):
    assert "'melom' is not one of the 4 scans of this checkpoint; the nearest is 'melon'" in (
        refused("drop", "--names", "melom")
    )
    assert "all 4 scans would go; name some of them" in refused("drop", "--names", *NAMES)
    assert "no scan is named; name some of them" in refused("drop")
    assert "none.txt: cannot be read" in refused("drop", "--scans", tmp_path / "none.txt")


def test_mistakes_in_adding(refused, toy_store, six, write_store, tmp_path):
    assert "toy.hdf5: all 4 scans are in" in refused("add", toy_store)
    assert "nothing is to be added" in refused("add", toy_store)
    (tmp_path / "names.txt").write_text("ufa\n")
    line = refused("add", six, "--scans", tmp_path / "names.txt")
    assert "six.hdf5: no scan is called 'ufa'; the nearest is 'ufo'" in line
    other = write_store(tmp_path / "other.hdf5", {"new": (1, 1, 1), "ball": (1, 1, 1)})
    line = refused("add", other)
    assert "scan 'ball' is not the one the run was trained on" in line
    assert "none.hdf5" in refused("add", tmp_path / "none.hdf5")
    assert "--start=best: must be one of" in refused("add", six, "--start", "best")


def test_a_store_of_another_unit_is_refused(refused, tmp_path):
    from shapespace.data.formats.readers import checked
    from shapespace.data.prepare.points import prepare_scan
    from shapespace.data.store.writer import StoreWriter
    from tests.conftest import ellipsoid

    with StoreWriter(tmp_path / "radius.hdf5", "radius", 3) as writer:
        points, normals = ellipsoid((1, 1, 1))
        raw = checked(points, normals=normals)
        writer.add(prepare_scan(raw, "new", source="new.ply", source_hash="0" * 64))
    line = refused("add", tmp_path / "radius.hdf5")
    assert "its unit is radius, that of the space m" in line


@pytest.mark.parametrize("command", ["add", "drop"])
def test_no_other_file_is_replaced(command, toy_checkpoint, six, tmp_path, capsys):
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("work of years")
    more = {"add": [six], "drop": ["--names", "egg"]}[command]
    words = ["codes", command, toy_checkpoint, *more, "--out", thesis]
    assert main([str(word) for word in words]) == 2
    assert "thesis.txt: exists and is not a checkpoint; choose" in capsys.readouterr().err
    assert thesis.read_text() == "work of years"


def test_another_set_of_scans_is_refused_with_the_remedy(checkpoints, train, six, tmp_path):
    shutil.copytree(checkpoints["rows"].parent, tmp_path / "run")
    with pytest.raises(InputError, match=r"4 then, 6 now.*shapespace codes add"):
        train(tmp_path / "run", 3, f"--data.store={six}")
