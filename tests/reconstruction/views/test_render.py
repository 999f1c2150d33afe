"""Images of a shape against the mesh of the same code, and the mistakes of users."""

import numpy as np
import pytest
import torch

from shapespace.cameras.files import read_cameras
from shapespace.cameras.images import read_depth, read_mask
from shapespace.config.options import RenderOptions
from shapespace.errors import InputError
from shapespace.reconstruction.views.render import render_shape, shaded, view_of
from shapespace.space import TrainedSpace

SMALL = RenderOptions(views=2, size=40)


@pytest.fixture(scope="module")
def rendered(toy_checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("views")
    space = TrainedSpace.load(toy_checkpoint)
    render_shape(toy_checkpoint, space.names[0], out, options=SMALL)
    return space, out


def test_depths_lie_on_the_zero_set(rendered):
    space, out = rendered
    code = space.code(space.names[0])
    cameras = read_cameras(out / "transforms.json")
    assert len(cameras) == 2 and (cameras[0].width, cameras[0].height) == (40, 40)
    for camera in cameras:
        depth, mask = read_depth(camera.depth) / 1000, read_mask(camera.mask)
        assert ((depth > 0) == mask).all() and 0.1 < mask.mean() < 0.9
        points = camera.position + (camera.slopes() * depth[..., None])[mask] @ camera.rotation.T
        with torch.no_grad():
            f = space.metric(torch.tensor(points)[None].float(), code[None])
        # The depths are rounded to thousandths.
        assert f.abs().max() < 1.5e-3
        assert camera.pixels(points)[1].all()


def test_both_ways_see_the_same(rendered):
    space, out = rendered
    camera = read_cameras(out / "transforms.json")[0]
    code = space.code(space.names[0])
    hard, soft = (view_of(space, code, camera, way=way) for way in ("trace", "weights"))
    assert (hard.mask != soft.mask).mean() < 0.02
    both = hard.mask & soft.mask & ((hard.normals * camera.directions()).sum(-1) < -0.3)
    assert np.abs(hard.depth - soft.depth)[both].max() < 0.01
    assert (hard.normals * soft.normals).sum(-1)[both].min() > 0.99
    picture = shaded(hard)
    assert (picture[~hard.mask] == 255).all() and picture[hard.mask].std() > 5


def test_a_code_of_a_file_is_the_named_shape(rendered, toy_checkpoint, tmp_path):
    space, out = rendered
    np.save(tmp_path / "code.npy", space.code(space.names[0]).numpy())
    render_shape(
        toy_checkpoint,
        None,
        tmp_path / "o",
        code=tmp_path / "code.npy",
        cameras=out / "transforms.json",
        options=RenderOptions(depth_format="npy", step_factor=0.5),
    )
    one, other = read_depth(out / "depth_000.png"), read_depth(tmp_path / "o" / "depth_000.npy")
    assert ((one > 0) != (other > 0)).mean() < 0.01
    both = (one > 0) & (other > 0)
    assert np.quantile(np.abs(one / 1000 - other)[both], 0.9) < 2e-3  # grazing rays differ more


def test_noise_has_its_size_and_a_seed(rendered):
    space, out = rendered
    view = view_of(space, space.code(space.names[0]), read_cameras(out / "transforms.json")[0])
    one, same, other = view.noisy(0.01, 1), view.noisy(0.01, 1), view.noisy(0.01, 2)
    assert np.array_equal(one.depth, same.depth) and not np.array_equal(one.depth, other.depth)
    assert not one.depth[~view.mask].any()
    assert (one.depth - view.depth)[view.mask].std() == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": None}, "NAME"),
        ({"code": "a.npy"}, "NAME"),
        ({"name": "nobody"}, "nobody"),
        ({"name": None, "code": "short.npy"}, "a code of 1 numbers"),
        ({"name": None, "code": "bad.npy"}, r"bad\.npy"),
        ({"cameras": "away.json"}, "no camera sees the shape"),
    ],
)
def test_mistakes_are_named(change, match, rendered, toy_checkpoint, tmp_path):
    space, out = rendered
    np.save(tmp_path / "short.npy", np.zeros(1, np.float32))
    (tmp_path / "bad.npy").write_bytes(b"\x93nothing")
    text = (out / "transforms.json").read_text()
    (tmp_path / "away.json").write_text(text.replace('"opengl"', '"opencv"'))
    given = {"name": space.names[0], "code": None, "cameras": None} | change
    files = {k: tmp_path / given[k] for k in ("code", "cameras") if given[k] is not None}
    with pytest.raises(InputError, match=match):
        render_shape(
            toy_checkpoint,
            given["name"],
            tmp_path / "o",
            **{"code": None, "cameras": None, **files},
            options=SMALL,
        )


@pytest.mark.parametrize("bad", [{"views": 0}, {"size": 2}, {"step_factor": -1.0}, {"noise": -1.0}])
def test_options_out_of_range(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        RenderOptions(**bad)
