"""What was read, not used, mended or left out is in the store, and the unusual is said."""

import h5py
import numpy as np
import pytest

from shapespace.cli.describe import describe
from shapespace.cli.main import main
from shapespace.data.formats.readers import checked
from shapespace.data.prepare.neighbours import neighbour_distance
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.prepare.run import prepare, prepare_file
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from tests.data.formats.writers import sphere

POINTS, NORMALS = sphere(200)
RGB = np.random.default_rng(0).integers(0, 256, size=(200, 3))


@pytest.fixture
def folder(tmp_path):
    """Clouds with colours, a plain one, one with invalid pixels, and what is no scan."""
    place = tmp_path / "scans"
    place.mkdir()
    for name in ("a", "b", "c"):
        np.savetxt(place / f"{name}.xyz", np.hstack([POINTS, RGB]))
    np.savetxt(place / "plain.xyz", POINTS)
    holes = POINTS.copy()
    holes[:50] = np.nan
    np.savetxt(place / "holes.xyz", holes)
    for name in ("1.jpg", "2.JPG", "3.jpg", "notes.json", "list.txt"):
        (place / name).write_text("no scan\n")
    return place


def run(folder, store, **options):
    return prepare(folder, store, progress=False, **options)


def test_accounts_are_said_stored_and_shown(folder, tmp_path):
    store = tmp_path / "s.hdf5"
    for _ in range(2):  # the second call keeps all scans and says the same
        lines = str(run(folder, store)).split("\n")
        assert "3 scans: read x y z; not used: r g b (columns 4 to 6)" in lines
        assert "holes: read x y z; left out: 50 of 200 points (25%), NaN or infinite" in lines
        assert not any("plain" in line for line in lines)
        assert "normals estimated, the files have none: 5 scans" in lines
        assert "other files ignored: 5 (3 .jpg, 1 .json, 1 .txt)" in lines
    accounts = {row["name"]: row["account"] for row in ScanStore(store).manifest()}
    assert accounts["plain"] == "read x y z"
    assert accounts["a"] == ScanStore(store).account("a")
    assert "3 scans: read x y z; not used: r g b" in describe(store)
    copy = tmp_path / "m.hdf5"
    assert main(["data", "merge", str(store), "--out", str(copy)]) == 0
    assert ScanStore(copy).account("holes") == accounts["holes"]


def test_a_store_without_accounts_is_read_and_the_checksum_does_not_know_them(folder, tmp_path):
    run(folder, tmp_path / "s.hdf5")
    content = ScanStore(tmp_path / "s.hdf5").content
    with h5py.File(tmp_path / "s.hdf5", "r+") as file:
        del file["accounts"]
        for group in file["scans"].values():
            del group.attrs["account"]
    store = ScanStore(tmp_path / "s.hdf5")
    assert store.content == content and not any(store.verify())
    assert {row["account"] for row in store.manifest()} == {""}
    assert "3 scans" not in describe(tmp_path / "s.hdf5")


def test_strict_refuses_what_would_be_mended(folder, tmp_path):
    with pytest.raises(InputError, match=r"holes\.xyz: 50 of 200 points"):
        run(folder, tmp_path / "s.hdf5", strict=True)
    (folder / "holes.xyz").unlink()
    with pytest.raises(InputError, match=r"200 points, fewer points than asked \(300\)"):
        run(folder, tmp_path / "s.hdf5", strict=True, num_points=300)
    assert not (tmp_path / "s.hdf5").exists()
    run(folder, tmp_path / "s.hdf5", strict=True)


def test_columns_are_part_of_the_options(folder, tmp_path, capsys):
    path = tmp_path / "velocity.csv"
    np.savetxt(path, np.hstack([POINTS, 3 * NORMALS]), delimiter=",")
    for command in (["prepare", str(path), str(tmp_path / "v.hdf5")], ["data", "check", str(path)]):
        code = main([*command, "--workers", "1"])
        shown = capsys.readouterr()
        assert code in (1, 2) and "--columns x,y,z,nx,ny,nz" in shown.out + shown.err
    swapped = None
    for columns in ("y,x,z,_,_,_", "x,y,z,vx,vy,vz", "x,y,z,nx,ny,nz"):
        prepare_command = ["prepare", str(path), str(tmp_path / "v.hdf5"), "--workers", "1"]
        assert main([*prepare_command, "--columns", columns]) == 0
        scan = ScanStore(tmp_path / "v.hdf5").scan("velocity")
        found = np.sort(scan.frame.to_source(scan.points.astype(float)), axis=0)
        order = [1, 0, 2] if columns[0] == "y" else [0, 1, 2]
        np.testing.assert_allclose(found, np.sort(POINTS[:, order], axis=0), atol=1e-6)
        swapped = scan
    assert swapped.normals_kind == "measured"
    assert swapped.account.endswith("normals scaled to length 1: 200 of 200")
    capsys.readouterr()
    assert main(["prepare", str(path), str(tmp_path / "v.hdf5"), "--columns", "x,z"]) == 2
    assert "columns='x,z': name x y" in capsys.readouterr().err
    assert prepare_file(path, columns="x,y,z,_,_,_").account == "read x y z"


def test_a_small_cloud_is_drawn_with_replacement_and_says_so():
    raw = checked(POINTS, normals=NORMALS)
    scan = prepare_scan(raw, "a", PointOptions(num_points=500))
    once = prepare_scan(raw, "a", PointOptions(num_points=200))
    assert scan.account == "drawn with replacement: 500 points of 200" and once.account == ""
    # Every point is there, each with its normal; sigma is that of the points drawn once.
    rows = {tuple(row) for row in scan.frame.to_source(scan.points.astype(float)).round(5)}
    assert rows == {tuple(row) for row in POINTS.round(5)}
    np.testing.assert_array_equal(np.unique(scan.normals, axis=0), np.unique(once.normals, axis=0))
    first, places = np.unique(scan.points, axis=0, return_inverse=True)
    want = neighbour_distance(first)[places.reshape(-1)]
    np.testing.assert_array_equal(scan.sigma, want)
    assert len(scan.points) == 500
