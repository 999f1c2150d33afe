"""New shapes of a tiny space: files, sheet, what is kept, what is refused, how they are judged."""

import json

import numpy as np
import pytest
import torch
import trimesh

from shapespace.cli.main import main
from shapespace.errors import InputError
from shapespace.evaluation.samples import draw as drawing
from shapespace.evaluation.samples import judge as judging
from shapespace.evaluation.samples import shapes as shapes_module
from shapespace.evaluation.samples.draw import draw_samples_of, read_samples
from shapespace.evaluation.samples.prior import drawn_codes, make_prior, prior_of, prior_path
from shapespace.evaluation.samples.shapes import CoarseShapes
from shapespace.priors.files import fit_prior, load_prior
from shapespace.space import TrainedSpace
from tests.encoders.test_factors import RADII as PEOPLE
from tests.encoders.test_factors import SIZE

pytest.importorskip("igl")


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Coarser surfaces than users get, to be quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes_module, "NODES", 20)
        patch.setattr(shapes_module, "POINTS", 200)
        patch.setattr(drawing, "HEIGHT", 60)
        yield


@pytest.fixture(scope="module")
def run(toy_checkpoint, tmp_path_factory):
    """A run folder with a checkpoint and its prior."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "last.ckpt").write_bytes(toy_checkpoint.read_bytes())
    assert main(["prior", "fit", str(folder / "last.ckpt")]) == 0
    return folder


@pytest.fixture(scope="module")
def people_checkpoint(train, write_store, tmp_path_factory):
    """A space whose codes are an identity and a posture."""
    folder = tmp_path_factory.mktemp("people")
    store = write_store(folder / "people.hdf5", PEOPLE)
    return train(folder / "run", 4, f"--data.store={store}", SIZE)


@pytest.fixture(scope="module")
def drawn(run):
    """Three samples of the run, in its folder samples."""
    return draw_samples_of(run / "last.ckpt", run / "samples", num=3, resolution=24, judged=True)


def test_the_prior_is_beside_the_checkpoint_and_of_its_space(run):
    space = TrainedSpace.load(run / "last.ckpt")
    path = prior_path(run / "last.ckpt")
    prior, facts = load_prior(path, space.digest)
    assert path.parent == run and facts.num_codes == len(space) == 4
    assert facts.by == "random" and facts.held_out is not None
    assert prior.latent_size == space.decoder.latent_size


def test_more_samples_leave_the_first_as_they_are(run):
    space = TrainedSpace.load(run / "last.ckpt")
    prior = prior_of(space, None)
    few, many = drawn_codes(prior, 2, seed=0), drawn_codes(prior, 5, seed=0)
    assert torch.equal(few, many[:2]) and len(many.unique(dim=0)) == 5
    assert not torch.equal(few, drawn_codes(prior, 2, seed=1))


def test_a_sample_has_a_mesh_a_code_its_nearest_shape_and_a_place_on_the_sheet(run, drawn):
    space = TrainedSpace.load(run / "last.ckpt")
    assert [each.name for each in drawn.samples] == ["000", "001", "002"] and drawn.kept == 0
    for each in drawn.samples:
        code = np.load(drawn.folder / f"{each.name}.npy")
        mesh = trimesh.load_mesh(drawn.folder / f"{each.name}.ply")
        assert code.shape == (space.decoder.latent_size,) and len(mesh.faces) == each.faces > 0
        assert each.nearest in space.names and 0 <= each.distance < 1
    assert (drawn.folder / "sheet.png").read_bytes()[:4] == b"\x89PNG"
    samples, facts = read_samples(drawn.folder)
    assert samples == drawn.samples and facts["scores"]["num_samples"] == 3
    text = "\n".join(drawn.lines())
    assert "coverage" in text and "novelty" in text and "compactness" in text


def test_what_an_earlier_call_made_is_kept_and_what_is_damaged_is_made_anew(run, drawn):
    path = drawn.folder / "001.ply"
    before = {each.name: each.read_bytes() for each in drawn.folder.glob("*.ply")}
    path.write_bytes(before["001.ply"][:90])
    (drawn.folder / "002.json").write_text("{")
    again = draw_samples_of(run / "last.ckpt", run / "samples", num=4, resolution=24)
    assert again.kept == 1 and len(again.samples) == 4
    assert again.samples[:3] == drawn.samples
    assert all((drawn.folder / name).read_bytes() == content for name, content in before.items())
    other = draw_samples_of(run / "last.ckpt", run / "samples", num=1, resolution=24, seed=1)
    assert other.kept == 0


def test_a_training_code_is_its_own_nearest_shape(run):
    space = TrainedSpace.load(run / "last.ckpt")
    shapes = CoarseShapes(space)
    for row in range(2):
        found = shapes.nearest(space.codes.table.weight[row], shapes.training(row))
        assert found.row == row and found.distance == pytest.approx(0, abs=1e-9)
    others = torch.tensor([1, 2, 3])
    found = shapes.nearest(space.codes.table.weight[0], shapes.training(0), among=others)
    assert found.row in (1, 2, 3)


def test_the_training_shapes_themselves_are_judged_as_copies(run):
    shapes = CoarseShapes(TrainedSpace.load(run / "last.ckpt"))
    same = [shapes.training(row) for row in range(4)]
    found = judging.judge(shapes, same, np.zeros(4))
    assert found.coverage == 1 and found.matching_distance == pytest.approx(0, abs=1e-9)
    assert found.nearest_neighbour_accuracy == 0 and found.copies == 4 and found.novelty == 0
    empty = [type(same[0])(same[0].points[:0])]
    with pytest.raises(InputError, match="none has a surface"):
        judging.judge(shapes, empty, np.full(1, np.inf))
    json.dumps(found.as_dict())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["prior", "sample", "{ckpt}", "--out", "{out}", "--prior", "{out}.safetensors"],
            "no such",
        ),
        (["prior", "sample", "{ckpt}", "--out", "{out}", "--num", "0"], "give at least 1"),
        (["prior", "fit", "{ckpt}", "--out", "{out}.pt"], ".safetensors file"),
        (["prior", "fit", "{out}"], "no such checkpoint"),
    ],
)
def test_mistakes_end_in_one_line(run, tmp_path, capsys, words, said):
    names = {"ckpt": run / "last.ckpt", "out": tmp_path / "out"}
    assert main([word.format(**names) for word in words]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error and error.startswith("shapespace prior: error:")
    assert not (tmp_path / "out").exists()


def test_the_prior_of_another_space_is_refused(run, toy_checkpoint, train, tmp_path):
    other = train(tmp_path / "other", 1)
    with pytest.raises(InputError, match="another space"):
        prior_of(TrainedSpace.load(other), run / "prior.safetensors")


def test_a_space_of_one_shape_and_no_code_is_told_so(train, write_store, tmp_path, capsys):
    write_store(tmp_path / "one.hdf5", {"ball": (1.0, 1.0, 1.0)})
    options = [f"--data.store={tmp_path / 'one.hdf5'}", "--model.decoder.init_args.latent_size=0"]
    path = train(tmp_path / "run", 1, *options)
    with pytest.raises(InputError, match="code length 0"):
        make_prior(path)


def test_the_best_of_all_kinds_is_that_of_the_likeliest_held_out_codes(run, tmp_path, monkeypatch):
    from shapespace.priors import diffusion, flow

    pytest.importorskip("zuko")
    for module in (flow, diffusion):
        monkeypatch.setattr(module, "STEPS", 20)
    made = make_prior(run / "last.ckpt", "best", str(tmp_path / "best.safetensors"))
    assert set(made.others) == {"mixture", "flow", "diffusion"}
    assert made.facts.held_out == max(made.others.values())
    assert made.prior.kind == max(made.others, key=made.others.__getitem__)
    assert any(line.startswith("tried: ") for line in made.lines())


def test_one_code_gives_that_shape_and_says_so(tmp_path):
    codes = torch.ones(1, 3)
    prior = fit_prior("mixture", codes, torch.Generator())
    assert torch.equal(drawn_codes(prior, 3, 0), codes.repeat(3, 1))


def test_postures_are_drawn_for_one_person(people_checkpoint, tmp_path, capsys):
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.write_bytes(people_checkpoint.read_bytes())
    assert main(["prior", "fit", str(checkpoint)]) == 0
    sample = ["prior", "sample", str(checkpoint), "--num=3", "--resolution=16"]
    assert main([*sample, "--identity-of=anna", f"--out={tmp_path / 'anna'}"]) == 0
    space = TrainedSpace.load(checkpoint)
    identity = space.held("identity", "anna").code[: space.identity_size].numpy()
    codes = np.stack([np.load(tmp_path / "anna" / f"00{row}.npy") for row in range(3)])
    np.testing.assert_array_equal(codes[:, : len(identity)], np.tile(identity, (3, 1)))
    assert len(np.unique(codes, axis=0)) == 3
    capsys.readouterr()
    assert main(["prior", "fit", str(checkpoint), "--kind=diffusion"]) == 0
    capsys.readouterr()
    assert main([*sample, "--identity-of=anna", f"--out={tmp_path / 'no'}"]) == 2
    said = capsys.readouterr().err.strip()
    assert "only a mixture can hold" in said and len(said.splitlines()) == 1


def test_a_space_without_identities_holds_none(run, tmp_path, capsys):
    arguments = ["prior", "sample", str(run / "last.ckpt"), f"--out={tmp_path / 'no'}"]
    assert main([*arguments, "--identity-of=ball"]) == 2
    assert "codes of one part" in capsys.readouterr().err
