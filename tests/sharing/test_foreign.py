"""Spaces of other authors' code: the same field comes back, whatever the keys are called.

The files are written here, in the layouts of those systems, by networks of plain torch.
"""

import json
import math

import pytest
import torch
from torch import nn

from shapespace.cli.main import main
from shapespace.config.options import ImportOptions
from shapespace.errors import InputError
from shapespace.sharing.foreign import foreign_content, share_inside
from shapespace.space import TrainedSpace

LATENT, WIDTH, DEPTH, SKIP = 5, 16, 4, 2


class Network(nn.Module):
    """The perceptron of the four systems, as their papers describe it."""

    def __init__(self, act, norm, divide, last):
        super().__init__()
        inputs = LATENT + 3
        widths = [inputs] + [WIDTH] * DEPTH + [1]
        self.act, self.divide, self.last = act, divide, last
        for k in range(DEPTH + 1):
            out = widths[k + 1] - inputs if k + 1 == SKIP else widths[k + 1]
            linear = nn.Linear(widths[k], out)
            with torch.no_grad():
                linear.weight.mul_(2)
            setattr(self, f"lin{k}", norm(linear) if k < DEPTH else linear)

    def forward(self, points, code):
        inputs = torch.cat([code.expand(len(points), -1), points], 1)
        x = inputs
        for k in range(DEPTH + 1):
            if k == SKIP:
                x = torch.cat([x, inputs], 1) / self.divide
            x = getattr(self, f"lin{k}")(x)
            x = self.act(x) if k < DEPTH else x
        return self.last(x)[:, 0]


def plain(linear):
    return linear


def new_norm(linear):
    linear = nn.utils.parametrizations.weight_norm(linear)
    with torch.no_grad():  # directions need not have the length of their rows
        linear.parametrizations.weight.original0.mul_(1.3)
    return linear


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def old_keys(state):
    """Keys of weight norm as torch called them before its parametrisations."""
    old = {"parametrizations.weight.original0": "weight_g"}
    old["parametrizations.weight.original1"] = "weight_v"
    for new, name in old.items():
        state = {key.replace(new, name): value for key, value in state.items()}
    return state


RELU = torch.relu
SOFTPLUS = nn.Softplus(beta=100)
CASES = {
    "deepsdf": (RELU, new_norm, 1.0, torch.tanh),
    "igr": (SOFTPLUS, plain, math.sqrt(2), plain),
    "sal": (RELU, new_norm, math.sqrt(2), plain),
    "sald": (SOFTPLUS, new_norm, math.sqrt(2), plain),
}
TABLES = {
    "embedding": lambda table: {"epoch": 3, "latent_codes": {"weight": table}},
    "tensor": lambda table: {"epoch": 3, "latent_codes": table},
    "parameter": lambda table: {"latent_codes": nn.Parameter(table)},
    "list": lambda table: {"latent_codes": [row[None, None] for row in table]},
    "rows": lambda table: table[:, None],
}


def written(folder, network, table, *, prefix="", old=False, layout="embedding"):
    """A folder of an experiment as the authors' code leaves it."""
    for name in ("ModelParameters", "LatentCodes"):
        (folder / name).mkdir(parents=True)
    state = network.state_dict()
    state = old_keys(state) if old else state
    state = {prefix + key: value for key, value in state.items()}
    torch.save({"epoch": 3, "model_state_dict": state}, folder / "ModelParameters" / "latest.pth")
    torch.save(TABLES[layout](table), folder / "LatentCodes" / "latest.pth")
    return folder


def space_of(folder, codes=None, **options):
    content = foreign_content(folder, codes, ImportOptions(**options))
    return TrainedSpace.of_content(content, folder, "cpu")


def assert_same_field(space, network, table):
    points = torch.rand(50, 3) * 2 - 1
    for row, name in enumerate(space):
        torch.testing.assert_close(space[name], table[row])
        ours = space.decoder(points[None], table[row : row + 1])[0]
        torch.testing.assert_close(ours, network(points, table[row : row + 1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("like", CASES)
@pytest.mark.parametrize(
    ("prefix", "old", "layout"),
    [
        ("", False, "embedding"),
        ("module.", True, "tensor"),
        ("module.implicit_map.", False, "list"),
        ("decoder.", True, "rows"),
        ("", True, "parameter"),
    ],
)
def test_the_field_and_the_codes_come_back(tmp_path, like, prefix, old, layout):
    network, table = Network(*CASES[like]), torch.randn(3, LATENT)
    written(tmp_path / "run", network, table, prefix=prefix, old=old, layout=layout)
    space = space_of(tmp_path / "run", like=like)
    assert_same_field(space, network, table)
    assert space.names == ("shape_0000", "shape_0001", "shape_0002")
    assert (space.unit, space.extent) == (("radius", 1.0) if like == "deepsdf" else ("m", 1.8))


@pytest.mark.parametrize("like", CASES)
def test_a_skip_that_divides_or_not(tmp_path, like):
    act, norm, divide, last = CASES[like]
    other = math.sqrt(2) if divide == 1 else 1.0
    network, table = Network(act, norm, other, last), torch.randn(2, LATENT)
    written(tmp_path / "run", network, table)
    space = space_of(tmp_path / "run", like=like, divide_skip=other != 1)
    assert_same_field(space, network, table)


def test_another_output(tmp_path):
    def plus(x):
        return torch.tanh(x) + x

    network, table = Network(RELU, new_norm, math.sqrt(2), plus), torch.randn(2, LATENT)
    written(tmp_path / "run", network, table)
    assert_same_field(space_of(tmp_path / "run", like="sal", output="tanh_plus"), network, table)
    with pytest.raises(InputError, match="softplus network ends in linear"):
        space_of(tmp_path / "run", like="sald", output="tanh")


def test_codes_beside_the_weights(tmp_path):
    network, table = Network(*CASES["sald"]), torch.randn(2, LATENT)
    state = {**network.state_dict(), "lat_vecs.weight": table}
    torch.save({"model_state_dict": state}, tmp_path / "one.pth")
    assert_same_field(space_of(tmp_path / "one.pth", like="sald"), network, table)


def test_names_of_a_list_and_of_a_split(tmp_path):
    network, table = Network(*CASES["deepsdf"]), torch.randn(3, LATENT)
    written(tmp_path / "run", network, table)
    (tmp_path / "list.txt").write_text("a\nb\nc\n")
    space = space_of(tmp_path / "run", like="deepsdf", names=str(tmp_path / "list.txt"))
    assert space.names == ("a", "b", "c")
    split = {"ShapeNetV2": {"sofas": ["x", "y"], "chairs": ["x"]}}
    (tmp_path / "split.json").write_text(json.dumps(split))
    space = space_of(tmp_path / "run", like="deepsdf", names=str(tmp_path / "split.json"))
    assert space.names == ("sofas_x", "y", "chairs_x")
    (tmp_path / "list.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="2 names for 3 codes"):
        space_of(tmp_path / "run", like="deepsdf", names=str(tmp_path / "list.txt"))


def test_the_command_writes_a_space_that_others_read(tmp_path, capsys):
    network, table = Network(*CASES["deepsdf"]), torch.randn(2, LATENT) / 4
    with torch.no_grad():
        network.lin4.weight.fill_(0.2)
        points = torch.rand(400, 3) * 2 - 1
        network.lin4.bias.zero_()
        network.last = plain
        network.lin4.bias -= network(points, table[:1]).median()  # half of the box is inside
        network.last = torch.tanh
    written(tmp_path / "run", network, table)
    words = ["import", str(tmp_path / "run"), "--like", "deepsdf", "--out", str(tmp_path / "out")]
    assert main([*words, "--licence", "MIT"]) == 0
    said = capsys.readouterr().out
    assert "shape_0000 fills" in said and "no surface" not in said
    space = TrainedSpace.from_pretrained(tmp_path / "out", "cpu")
    assert_same_field(space, network, table)
    assert 0 < share_inside(space.decoder, space["shape_0000"], space.extent) < 1
    assert len(space.mesh(space["shape_0000"], resolution=24).faces)


def test_a_field_without_a_surface_is_named(tmp_path, capsys):
    network, table = Network(*CASES["deepsdf"]), torch.zeros(1, LATENT)
    with torch.no_grad():
        network.lin4.bias.fill_(50.0)
    written(tmp_path / "run", network, table)
    words = ["import", str(tmp_path / "run"), "--like", "deepsdf", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert "no surface there; check --like" in capsys.readouterr().out


class Foreign:
    """A class that no file may bring along."""


def test_bad_files_end_in_a_line(tmp_path):
    network, table = Network(*CASES["igr"]), torch.randn(2, LATENT)
    run = written(tmp_path / "run", network, table)
    weights = run / "ModelParameters" / "latest.pth"

    def refused(message, path=run, codes=None):
        with pytest.raises(InputError, match=message) as caught:
            space_of(path, codes, like="igr")
        assert "\n" not in str(caught.value)

    refused("no such file", path=tmp_path / "nothing.pth")
    refused("no table of codes of length 5", path=weights)
    torch.save(torch.randn(2, LATENT + 1), tmp_path / "codes.pth")
    refused("no table of codes of length 5", codes=tmp_path / "codes.pth")
    (tmp_path / "text.pth").write_text("text")
    refused("no file of plain tensors", path=tmp_path / "text.pth")
    torch.save(Foreign(), tmp_path / "class.pth")
    refused("no file of plain tensors", path=tmp_path / "class.pth")
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    refused("no layers lin0", path=tmp_path / "other.pth")
    state = network.state_dict()
    torch.save({k: v for k, v in state.items() if "lin2" not in k}, tmp_path / "gap.pth")
    refused(r"layers \[0, 1, 3, 4\]", path=tmp_path / "gap.pth")
    torch.save({**state, "lin1.weight": torch.zeros(7, 16)}, tmp_path / "odd.pth")
    refused("lin1 has a weight of 7x16", path=tmp_path / "odd.pth")
    torch.save({**state, "lin1.weight": torch.zeros(8, 15)}, tmp_path / "odd.pth")
    refused("no perceptron of one width", path=tmp_path / "odd.pth")
    torch.save({**state, "lin1.scale": torch.zeros(7)}, tmp_path / "more.pth")
    refused("lin1 has scale", path=tmp_path / "more.pth")
    (run / "specs.json").write_text(json.dumps({"NetworkSpecs": {"xyz_in_all": True}}))
    refused("specs.json: says xyz_in_all")
    state["lin0.bias"] = torch.full_like(state["lin0.bias"], math.nan)
    torch.save({**state, "lat_vecs": table}, tmp_path / "nan.pth")
    refused("NaN|finite", path=tmp_path / "nan.pth")


def test_code_length_0_is_one_shape(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "LATENT", 0)
    network = Network(*CASES["igr"])
    torch.save(network.state_dict(), tmp_path / "one.pth")
    space = space_of(tmp_path / "one.pth", like="igr")
    assert space.names == ("shape_0000",) and space.decoder.latent_size == 0
    assert_same_field(space, network, torch.zeros(1, 0))
