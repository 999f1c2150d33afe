"""Scans that are read for a trained space: their scale, and the sigma that they may lack."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shapespace.codes import LatentCodes
from shapespace.config.options import FitOptions, MeshOptions, ReadOptions, WalkOptions
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.sources import find_sources
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.decoders import SkipMLP
from shapespace.errors import InputError
from shapespace.fitting.search import Search
from shapespace.objectives import IGR
from shapespace.reconstruction.inputs import check_store, common_scale, prepare_for, unit_of
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.reconstruction.walks.interpolate import interpolate_shapes
from shapespace.sampling import NearSurface
from shapespace.scan import Frame
from shapespace.space import TrainedSpace
from tests.conftest import ellipsoid


@pytest.fixture(scope="module")
def space(toy_checkpoint):
    return TrainedSpace.load(toy_checkpoint)


@pytest.fixture
def cloud(tmp_path):
    """A text file of an ellipsoid of semi-axes 1.2, 0.9, 0.9 at (40, 0, 0), with normals."""
    points, normals = ellipsoid((1.2, 0.9, 0.9), 700)
    np.savetxt(tmp_path / "egg_2.xyz", np.hstack([points + np.array([40, 0, 0]), normals]))
    return tmp_path / "egg_2.xyz"


def normalised(scales):
    """A space whose scans were prepared with --normalise, with these scales."""
    codes = LatentCodes(len(scales), 2)
    codes.names = tuple(f"shape_{row}" for row in range(len(scales)))
    codes.frames = tuple(Frame(np.zeros(3), scale) for scale in scales)
    return TrainedSpace(SkipMLP(2, width=8), codes, IGR(), NearSurface(), unit="radius")


def test_a_scale_is_common_only_if_all_of_several_scans_have_it():
    for scales, common in (
        ((0.5, 0.5, 0.5), 0.5),
        ((0.5, 0.5000001), None),
        ((0.5, 0.5, 2.0), None),
        ((0.5,), None),  # one scan says nothing about others
    ):
        assert common_scale(normalised(scales)) == common, scales


def test_a_new_scan_gets_the_common_scale_or_its_own(cloud):
    (source,) = find_sources(cloud)
    points, _ = ellipsoid((1.2, 0.9, 0.9), 700)
    radius = np.linalg.norm(points - points.mean(0), axis=1).max()
    common = prepare_for(normalised((4.0, 4.0)), source, "auto", 0)
    alone = prepare_for(normalised((4.0, 3.0)), source, "auto", 0)
    assert common.frame.scale == 4.0
    assert np.linalg.norm(common.points, axis=1).max() == pytest.approx(radius / 4, rel=0.01)
    assert alone.frame.scale == pytest.approx(radius, rel=0.02)
    assert unit_of(normalised((4.0, 4.0)), common.frame) == "radius"
    # A scan many times as large as those of the space is refused, not scaled to fit.
    with pytest.raises(InputError, match="reaches to"):
        prepare_for(normalised((0.1, 0.1)), source, "auto", 0)


def test_a_store_of_another_unit_is_named(space, tmp_path):
    with StoreWriter(tmp_path / "s.hdf5", "radius", 3):
        pass
    with pytest.raises(InputError, match=r"unit is radius, that of the space m.*without"):
        check_store(space, ScanStore(tmp_path / "s.hdf5"))


def test_an_even_fit_measures_the_sigma_that_a_scan_lacks(space, cloud, tmp_path):
    (source,) = find_sources(cloud)
    without = prepare_for(space, source, "m", 0)
    raw, digest = source.load()
    options = PointOptions(seed=0, scale=1.0, sigma=True)
    measured = prepare_scan(raw, "egg_2", options, source=str(source), source_hash=digest)
    assert without.sigma is None and measured.sigma is not None
    np.testing.assert_array_equal(without.points, measured.points)
    search = Search(freedom="shift", even=True)
    even = space.fit([without], num_points=128, search=search)
    same = space.fit([measured], num_points=128, search=search)
    torch.testing.assert_close(even.codes, same.codes, rtol=0, atol=0)
    plain = space.fit([without], num_points=128, search=replace(search, even=False))
    assert not torch.equal(plain.codes, even.codes)
    result = reconstruct_files(
        space.path,
        [source],
        tmp_path / "out",
        FitOptions(num_points=128, even=True, detail="none"),
        MeshOptions(resolution=16, unit="m"),
    )
    assert [item.name for item in result.done] == ["egg_2"] and not result.skipped


def test_a_walk_to_a_file_says_what_of_it_is_not_used(space, cloud, tmp_path):
    rows = np.loadtxt(cloud)
    table = tmp_path / "table.csv"
    np.savetxt(table, np.hstack([rows[:, 3:] * 90, rows[:, :3]]), delimiter=",")
    said = []
    paths = interpolate_shapes(
        space.path,
        ["ball", str(table)],
        tmp_path / "walk",
        WalkOptions(2, 16),
        unit="m",
        reading=ReadOptions("r,g,b,x,y,z"),
        on_remark=said.append,
    )
    assert len(paths) == 4
    assert said[0] == f"{table}: read x y z; not used: r g b"
