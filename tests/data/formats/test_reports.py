"""The public reports of ../shared/data/reports: each is read right, or refused by name."""

import csv

import numpy as np
import pytest

from shapespace.config.options import ReadOptions
from shapespace.data.formats.readers import read_raw
from shapespace.data.prepare.run import prepare
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError

OF_OTHERS = (
    "stray_part_far_away.off",
    "utm_metres_float32_two_metre_statue.ply",
    "utm_metres_double_control.ply",
    "left_and_right_bones_mm",
    "far_point.ply",
)
"""Cases that are no matter of reading."""
READ = {
    "xyz_with_rgb.xyz": "read x y z; not used: r g b (columns 4 to 6)",
    "control_nx.ply": "read x y z, normals (nx ny nz); not used: red green blue",
    "xyz_with_intensity.xyz": "read x y z; not used: intensity (column 4)",
    "normals_called_normal_x_pcl.ply": "read x y z, normals (normal_x normal_y normal_z); "
    "not used: curvature",
    "tristrips_only.ply": "read x y z, faces; not used: confidence",
    "modelnet_header_glued.off": "read x y z, faces",
    "depth_camera_invalid_nan.ply": "read x y z; left out: 1245 of 4200 points (30%), "
    "NaN or infinite",
    "depth_camera_invalid_zeros.ply": "read x y z; left out: 0 0 0 repeated 1245 times, "
    "30% of 4200 points",
    "windows_nan_ind_normals.ply": "read x y z, normals (nx ny nz); "
    "normals unknown: 643 of 3000 points (21%)",
    "cloudcompare_header.txt": "read x y z, normals (Nx Ny Nz)",
    "comma_separated.xyz": "read x y z",
    "gaussian_splats_zero_normals.ply": "read x y z; not used: nx ny nz (all 0 or NaN), "
    "f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 to rot_3",
    "meshlab_texcoord_list_texnumber.ply": "read x y z, faces; not used: normals of vertices "
    "(nx ny nz), red green blue alpha, face texcoord texnumber; "
    "normals scaled to length 1: 638 of 642",
    "occnet_layout/obj1/pointcloud.npz": "read x y z, normals; not used: array loc scale "
    "(the points stay in the frame of the file)",
    "folder_mixed_ply_pcd/t0.pcd": "read x y z",
    "deepsdf_samples_pos_neg.npz": "read x y z, samples pos neg of DeepSDF, "
    "with surface points between them",
}
REFUSED = {
    "draco_one_part_of_two.glb": "uses KHR_draco_mesh_compression",
    "draco_compressed.glb": "uses KHR_draco_mesh_compression",
    "occnet_layout/obj1/points.npz": "no scan but samples of a volume .*occupancies",
}


def test_every_report_is_tested(reports):
    cases = {row["file"] for row in csv.DictReader((reports / "CASES.csv").open())}
    ours = {name.split("/")[0] for name in (*READ, *REFUSED)}
    assert ours | set(OF_OTHERS) == cases


def test_reports_are_read_and_said(reports):
    assert {name: read_raw(reports / name).account for name in READ} == READ
    for name, reason in REFUSED.items():
        with pytest.raises(InputError, match=reason):
            read_raw(reports / name)
    for name in ("depth_camera_invalid_nan.ply", "depth_camera_invalid_zeros.ply"):
        with pytest.raises(InputError, match=r"1245 .* without --strict"):
            read_raw(reports / name, ReadOptions(strict=True))


def test_the_points_of_the_reports_are_those_of_their_control(reports):
    control = read_raw(reports / "control_nx.ply")
    for name in (
        "xyz_with_rgb.xyz",
        "xyz_with_intensity.xyz",
        "normals_called_normal_x_pcl.ply",
        "windows_nan_ind_normals.ply",
        "cloudcompare_header.txt",
        "comma_separated.xyz",
        "folder_mixed_ply_pcd/t4.pcd",
    ):
        scan = read_raw(reports / name)
        np.testing.assert_allclose(scan.vertices, control.vertices, atol=1e-5)
        if scan.normals is not None:
            known = scan.normals.any(axis=1)
            np.testing.assert_allclose(scan.normals[known], control.normals[known], atol=1e-4)
    strips = read_raw(reports / "tristrips_only.ply")
    assert len(strips.faces) == 528
    # A tube: its sides look away from its axis.
    a, b, c = (strips.vertices[strips.faces[:, i]] for i in range(3))
    middle = (a + b + c) / 3 * [1, 0, 1]
    assert ((np.cross(b - a, c - a) * middle).sum(axis=1) > 0).all() or (
        (np.cross(b - a, c - a) * middle).sum(axis=1) < 0
    ).all()


def test_prepare_says_what_it_made_of_each_report(reports, tmp_path):
    mixed = prepare(reports / "folder_mixed_ply_pcd", tmp_path / "m.hdf5", progress=False)
    assert len(mixed.counts.names) == 8
    lines = str(mixed).split("\n")
    assert "3 scans: read x y z, normals (nx ny nz); not used: red green blue" in lines
    store = ScanStore(tmp_path / "m.hdf5")
    assert [row["account"] for row in store.manifest()][3] == "read x y z"
    layout = prepare(reports / "occnet_layout", tmp_path / "o.hdf5", progress=False)
    assert layout.counts.names == ["obj1_pointcloud"]
    assert [name for name, _ in layout.counts.skipped] == ["obj1_points"]
