"""One identity a subject and one posture a scan: the laws of the codes, of training and of fits."""

import numpy as np
import pytest
import torch

from shapespace.checkpoint import read_checkpoint
from shapespace.cli.main import main
from shapespace.config.options import FitOptions, WalkOptions
from shapespace.data.names import subjects_of
from shapespace.data.store.store import ScanStore
from shapespace.decoders import SkipMLP
from shapespace.encoders.codes import CodeOptions, codes_of
from shapespace.encoders.factors import FactorCodes, HeldPart
from shapespace.encoders.pointnet import PointNet
from shapespace.errors import InputError
from shapespace.fitting.search import Search
from shapespace.planning.cli import plan
from shapespace.reconstruction.edit_codes import add_scans, drop_scans
from shapespace.reconstruction.walks.interpolate import interpolate_shapes
from shapespace.scan import Frame
from shapespace.space import TrainedSpace
from shapespace.training.statistics import METRICS, read_metrics
from tests.training.test_cli import assert_same_run

RADII = {
    "bert_walk_000002": (0.9, 0.9, 1.1),
    "anna_run_000001": (1.0, 1.0, 1.0),
    "bert_run_000001": (1.2, 0.9, 0.9),
    "anna_walk_000001": (1.0, 0.7, 1.0),
    "anna_walk_000002": (1.0, 0.8, 1.0),
}
SIZE = "--model.identity_size=3"


def frames(count):
    return [Frame(np.zeros(3)) for _ in range(count)]


def codes(names=tuple(RADII), max_norm=None):
    made = FactorCodes(len(names), 8, 3, subjects_of, init_std=0.1, seed=1, max_norm=max_norm)
    made.assign(names, frames(len(names)))
    return made


@pytest.fixture(scope="module")
def people(write_store, tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("people") / "people.hdf5", RADII)


@pytest.fixture(scope="module")
def train_people(train, people):
    return lambda folder, epochs, *more: train(folder, epochs, f"--data.store={people}", *more)


@pytest.fixture(scope="module")
def checkpoint(train_people, tmp_path_factory):
    return train_people(tmp_path_factory.mktemp("factors") / "run", 4, SIZE)


def test_a_code_is_identity_and_posture():
    made = codes()
    assert made.subjects == ("anna", "bert")
    whole = made(torch.arange(5))
    assert torch.equal(whole, made.table.weight)
    assert torch.equal(whole[:, 3:], made.posture.weight)
    assert torch.equal(whole[[1, 3, 4], :3], made.identity.weight[[0, 0, 0]])
    assert torch.equal(whole[[0, 2], :3], made.identity.weight[[1, 1]])


def test_gradients_equal_those_of_dense_tables():
    made = codes()
    index = torch.tensor([4, 0, 1, 4])
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    (made(index) * weight).sum().backward()
    identity = torch.zeros(2, 3)
    posture = torch.zeros(5, 5)
    for row, scan in enumerate(index.tolist()):
        posture[scan] += weight[row, 3:]
        identity[0 if "anna" in list(RADII)[scan] else 1] += weight[row, :3]
    torch.testing.assert_close(made.posture.weight.grad.to_dense(), posture)
    torch.testing.assert_close(made.identity.weight.grad.to_dense(), identity)
    assert made.table.weight.grad is None


def test_the_table_follows_all_scans_of_a_subject_that_moved():
    made = codes(max_norm=0.5)
    with torch.no_grad():
        made.identity.weight += 1
        made.posture.weight[1] += 2
    made.settle(torch.tensor([1]), lambda part: part[None])
    anna, bert = made.identity.weight.detach().norm(dim=1).tolist()
    assert anna == pytest.approx(0.5) and bert > 1, "bert was not in the step"
    assert float(made.posture.weight[1].detach().norm()) == pytest.approx(0.5)
    for row in (1, 3, 4):
        assert torch.equal(made.table.weight[row], made(torch.tensor([row]))[0])


def test_scans_in_another_order_keep_their_codes():
    made = codes()
    before = {name: made.table.weight[row].clone() for row, name in enumerate(made.names)}
    again = FactorCodes(5, 8, 3, subjects_of)
    again.load_state_dict(made.state_dict())
    other = list(reversed(RADII))
    again.assign(other, frames(5))
    for row, name in enumerate(other):
        assert torch.equal(again.table.weight[row], before[name])
        assert torch.equal(again(torch.tensor([row]))[0], before[name])


@pytest.mark.parametrize("size", [1, 8])
def test_one_part_may_be_nearly_all(size):
    made = FactorCodes(5, 8, size, subjects_of, init_std=0.1)
    made.assign(list(RADII), frames(5))
    assert made(torch.arange(5)).shape == (5, 8)
    made(torch.arange(5)).sum().backward()
    made.settle(torch.arange(5), lambda part: part[None])


def test_what_cannot_be_is_refused():
    decoder = SkipMLP(latent_size=8, width=16, depth=2, skip=1)
    with pytest.raises(InputError, match="identity_size=9: give a part of the code"):
        codes_of(decoder, None, 5, CodeOptions(identity_size=9), subjects_of)
    with pytest.raises(InputError, match=r"identity_size=2: .* encoder"):
        codes_of(decoder, PointNet(8), 5, CodeOptions(identity_size=2))
    with pytest.raises(InputError, match=r"'ball': does not state subject.* rename"):
        codes(("ball",))
    with pytest.raises(InputError, match="give one"):
        FitOptions(identity_of="a", posture_of="b")
    with pytest.raises(InputError, match="finds whole codes"):
        FitOptions(method="adam-published", identity_of="a")


def test_a_space_trains_with_shared_identities(checkpoint):
    space = TrainedSpace.load(checkpoint)
    table = space.codes.table.weight
    rows = {name: space.codes.row(name) for name in RADII}
    anna = table[[rows[name] for name in RADII if name.startswith("anna")]]
    assert torch.equal(anna[:, :3], anna[:1, :3].expand(3, -1)) and anna[:, :3].any()
    assert (anna[0, 3:] != anna[1, 3:]).all(), "each scan has a posture of its own"
    assert space.identity_size == 3
    content = read_checkpoint(checkpoint)
    assert torch.equal(content["state_dict"]["codes.table.weight"], table)
    visits = [state["visits"] for state in content["optimizer_states"][-1]["state"].values()]
    assert visits[0].tolist() == [4] * 5
    # Each step moves an identity once, however many scans of the subject it has.
    assert all(4 <= count <= 12 for count in visits[1].tolist())


def test_a_resumed_run_repeats_the_rest(train_people, checkpoint, tmp_path):
    train_people(tmp_path / "run", 2, SIZE)
    assert_same_run(checkpoint, train_people(tmp_path / "run", 4, SIZE))
    with pytest.raises(InputError, match=r"is of another model"):
        train_people(tmp_path / "run", 5, "--model.identity_size=2")


@pytest.mark.parametrize("more", [["--model.code_optimiser=dense"], ["--model.points_per_chunk=1"]])
def test_other_ways_to_step(more, train_people, checkpoint, tmp_path):
    done = train_people(tmp_path / "run", 1, SIZE, *more)
    losses = [
        float(read_metrics(path.with_name(METRICS))[0]["loss"]) for path in (checkpoint, done)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_a_held_part_has_the_slices_of_the_jacobian(checkpoint):
    decoder = TrainedSpace.load(checkpoint).decoder
    code = torch.randn(8)
    points = torch.randn(2, 7, 3)
    part = HeldPart(decoder, code, slice(0, 3))
    free = torch.randn(2, 5)
    whole = torch.cat([code[:3].expand(2, -1), free], 1)
    assert torch.equal(part.whole(free), whole)
    sdf, gradient, slope = part.jacobian(points, free)
    want = decoder.jacobian(points, whole)
    torch.testing.assert_close((sdf, gradient, slope), (*want[:2], want[2][..., 3:]))
    torch.testing.assert_close(part(points, free), decoder(points, whole))


@pytest.mark.parametrize(("factor", "columns"), [("identity", slice(3)), ("posture", slice(3, 8))])
def test_a_fit_holds_one_part_and_moves_the_other(factor, columns, checkpoint, people):
    space = TrainedSpace.load(checkpoint)
    scan = ScanStore(people).scan("bert_walk_000002")
    held = space.held(factor, "anna_run_000001")
    found = space.fit([scan], search=Search(starts=2), held=held)
    assert torch.equal(found.codes[0, columns], space.code("anna_run_000001")[columns])
    others = torch.ones(8, dtype=torch.bool)
    others[columns] = False
    assert (found.codes[0, others] != space.code("anna_run_000001")[others]).all()
    assert found.covariances.shape == (1, 11, 11)
    assert not found.covariances[0][columns].any(), "what is given has no doubt"
    assert (found.covariances[0].diagonal()[:8][others] > 0).all()
    mesh = space.mesh(found.codes[0], scan.frame, resolution=16)
    assert np.isfinite(space.deviation(found, 0, mesh, scan.frame)).all()


def test_this_person_in_that_posture(checkpoint):
    space = TrainedSpace.load(checkpoint)
    code = space.combined("anna", "bert_walk_000002")
    assert torch.equal(code[:3], space.code("anna_walk_000001")[:3])
    assert torch.equal(code[3:], space.code("bert_walk_000002")[3:])
    with pytest.raises(InputError, match="not one of the 5 scans"):
        space.combined("carl", "bert_walk_000002")


def test_spaces_of_one_part_hold_nothing(toy_checkpoint, tmp_path):
    space = TrainedSpace.load(toy_checkpoint)
    assert space.identity_size == 0
    with pytest.raises(InputError, match=r"codes of one part.*identity_size"):
        space.held("identity", "ball")
    with pytest.raises(InputError, match=r"codes of one part"):
        interpolate_shapes(toy_checkpoint, ["ball", "egg"], tmp_path, WalkOptions(hold="identity"))


def test_commands_know_the_parts(checkpoint, people, tmp_path, capsys):
    assert main(["info", str(checkpoint)]) == 0
    assert "identity, 3 numbers for each of 2 subjects; posture, 5" in capsys.readouterr().out
    walk = ["anna_run_000001", "bert_walk_000002"]
    options = ["--steps=2", "--resolution=16", "--hold=identity", f"--out={tmp_path / 'walk'}"]
    assert main(["interpolate", str(checkpoint), *walk, *options]) == 0
    (tmp_path / "list.txt").write_text("bert_walk_000002\n")
    options = [f"--out={tmp_path / 'out'}", f"--scans={tmp_path / 'list.txt'}", "--resolution=24"]
    assert main(["reconstruct", str(checkpoint), str(people), *options, "--identity-of=anna"]) in (
        0,
        1,  # the little trained space is far from the scan
    )
    code = np.load(tmp_path / "out" / "bert_walk_000002.npy")
    anna = TrainedSpace.load(checkpoint).code("anna_run_000001").numpy()
    np.testing.assert_array_equal(code[:3], anna[:3])
    assert (code[3:] != anna[3:]).any()


def test_scans_are_added_and_dropped(checkpoint, write_store, train, tmp_path):
    """A known subject keeps its identity, a new one gets its own, at their alphabetical places."""
    more = {"anna_jump_000001": (1.1, 0.8, 1.0), "abel_run_000001": (1.3, 1.0, 1.0)}
    store = write_store(tmp_path / "more.hdf5", {**RADII, **more})
    before = TrainedSpace.load(checkpoint)
    old = read_checkpoint(checkpoint)["optimizer_states"][-1]["state"]
    for start in ("mean", "fit"):
        out = tmp_path / start / "last.ckpt"
        assert set(add_scans(checkpoint, store, out, start=start)) == set(more)
        after = TrainedSpace.load(out)
        assert after.codes.subjects == ("abel", "anna", "bert")
        for name in before.names:
            assert torch.equal(before.code(name), after.code(name))
        anna = before.code("anna_run_000001")
        assert torch.equal(after.code("anna_jump_000001")[:3], anna[:3])
        state = read_checkpoint(out)["optimizer_states"][-1]["state"]
        assert torch.equal(state[1]["mean"][1:], old[1]["mean"]) and not state[1]["mean"][0].any()
        assert not state[0]["mean"][-2:].any()
        content = read_checkpoint(out)["state_dict"]
        assert torch.equal(content["codes.table.weight"], after.codes.table.weight)
    left = drop_scans(out, [name for name in after.names if "bert" in name], out)
    assert TrainedSpace.load(out).codes.subjects == ("abel", "anna") and len(left) == 5
    names = tmp_path / "left.txt"
    names.write_text("\n".join(reversed(left)) + "\n")
    done = train(out.parent, 6, f"--data.store={store}", f"--data.scans={names}", SIZE)
    assert set(TrainedSpace.load(done).names) == set(left)


def test_the_plan_knows_the_parts(toy_arguments, people):
    found = plan([*toy_arguments, f"--data.store={people}", SIZE, "--trainer.max_epochs=1"])
    plain = plan([*toy_arguments, f"--data.store={people}", "--trainer.max_epochs=1"])
    assert found["code_bytes"] == plain["code_bytes"] == 0, "one rank sends nothing"
    assert found["memory"]["codes"] > 0
