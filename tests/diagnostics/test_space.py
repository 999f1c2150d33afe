"""The diagnostics of a checkpoint: their files, their words, and shapes without a surface."""

import json
import math
import re

import numpy as np
import pytest
import torch

from shapespace.cli.main import main
from shapespace.codes import LatentCodes
from shapespace.decoders import SkipMLP
from shapespace.diagnostics.sdf import FACTS, MEANING, SdfDiagnostics
from shapespace.diagnostics.space import DiagnosedSpace, DiagnosticsOptions, diagnose_space, verdict
from shapespace.objectives import IGR
from shapespace.report.diagnostics import write_page
from shapespace.sampling import NearSurface
from shapespace.scan import Frame
from shapespace.space import TrainedSpace

pytest.importorskip("matplotlib", reason="pages need shapespace[report]")
pytest.importorskip("embreex", reason="rays are cast by embreex")
pytest.importorskip("igl", reason="exact distances need libigl")

QUICK = DiagnosticsOptions(num_points=400, resolution=24, num_rays=40)
OPTIONS = ["--num-points=400", "--resolution=24", "--num-rays=40"]


def space(dimension=3, latent_size=0):
    torch.manual_seed(0)
    decoder = SkipMLP(latent_size, dimension, width=32, depth=3, skip=2)
    codes = LatentCodes(2, latent_size, init_std=0.01)
    codes.assign(("a", "b"), 2 * [Frame(np.zeros(dimension))])
    return TrainedSpace(decoder, codes, IGR(), NearSurface(extent=1.5))


def test_the_command_writes_a_table_numbers_and_a_page(toy_checkpoint, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("egg\nball\n")
    names = str(tmp_path / "names.txt")
    line = ["diagnose", str(toy_checkpoint), "--names", names, f"--out={tmp_path}", *OPTIONS]
    assert main(line) == 0
    text = capsys.readouterr().out
    assert "ball" in text and "median" in text and "last.diagnostics.json" in text
    content = json.loads((tmp_path / "last.diagnostics.json").read_text())
    assert list(content) == [
        *("checkpoint", "digest", "settings", "meaning", "shapes", "summary", "verdict")
    ]
    assert content["digest"] == TrainedSpace.load(toy_checkpoint).digest
    assert content["settings"]["num_points"] == 400 and content["settings"]["seed"] == 0
    assert [shape["name"] for shape in content["shapes"]] == ["egg", "ball"]
    assert set(content["shapes"][0]) == {"name", "remarks", *content["meaning"]}
    assert set(content["summary"]) == set(MEANING) - set(FACTS)
    page = (tmp_path / "last.diagnostics.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert all(column in page for column in content["summary"])


def test_mistakes_are_one_line(toy_checkpoint, tmp_path, capsys):
    for more, said in (
        (["--names", "bal"], "the nearest is 'ball'"),
        (["--num-shapes=0"], "num_shapes=0"),
        (["--num-points=0"], "num_points=0"),
        (["--resolution=1"], "resolution=1"),
    ):
        assert main(["diagnose", str(toy_checkpoint), f"--out={tmp_path}", *more]) == 2
        assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("dimension", "lift"), [(3, 9.0), (2, 0.0)])
def test_shapes_without_a_surface_have_a_page_too(dimension, lift, tmp_path):
    flat = space(dimension)
    with torch.no_grad():
        flat.decoder.linears()[-1].bias.add_(lift)
    diagnosed = diagnose_space(flat, names=["b"], settings=QUICK)
    page = write_page(diagnosed, tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert diagnosed.median("size") is None and diagnosed.median("gradient_rms_space") is not None
    assert ("empty" if dimension == 3 else "not 3-D") in page and "As a distance" not in page
    json.dumps(diagnosed.plain(), allow_nan=False)


def test_shapes_are_taken_evenly():
    assert list(diagnose_space(space(2), num_shapes=1, settings=QUICK).shapes) == ["a"]
    assert list(diagnose_space(space(2), num_shapes=9, settings=QUICK).shapes) == ["a", "b"]


def made(**columns):
    return SdfDiagnostics({**dict.fromkeys(MEANING), **columns})


def test_worst_is_what_is_farthest_from_a_distance():
    shapes = {
        "a": made(gradient_mean_space=-0.3, safe_factor=0.9, normal_mean=0.99, sheets=0.0),
        "b": made(gradient_mean_space=0.1, safe_factor=0.4, normal_mean=0.7, sheets=3.0),
        "c": made(gradient_mean_space=0.2, distance_rmse_space=0.1, gradient_rms_space=0.1),
    }
    diagnosed = DiagnosedSpace(space(), QUICK, shapes)
    assert diagnosed.worst("gradient_mean_space") == -0.3
    assert diagnosed.median("gradient_mean_space") == pytest.approx(0.1)
    assert (diagnosed.worst("safe_factor"), diagnosed.worst("normal_mean")) == (0.4, 0.7)
    assert (diagnosed.median("sheets"), diagnosed.worst("overshoot_one")) == (1.5, None)
    assert diagnosed.ordered()[0] == "c"
    assert math.isnan(shapes["a"]["size"])
    assert any(
        "1 of 3 shapes" in sentence and "3 extra" in sentence for sentence in verdict(diagnosed)
    )
