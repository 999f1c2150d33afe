"""The D-FAUST layouts: names, frames, and the files that nearly look right."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import trimesh

from shapespace.data.dfaust import list_sequences, read_frame
from shapespace.data.sources import find_sources
from shapespace.errors import InputError

BALL = trimesh.creation.icosphere(subdivisions=1)
VERTICES, FACES = np.asarray(BALL.vertices), np.asarray(BALL.faces)
BODIES = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "bodies"


def frames(count, dtype=np.float32):
    """(V,3,count): the ball, growing by one a frame."""
    return np.stack([VERTICES * (i + 1) for i in range(count)], axis=2).astype(dtype)


def register(path, faces=FACES, **sequences):
    with h5py.File(path, "w") as file:
        if faces is not None:
            file["faces"] = faces
        for name, data in sequences.items():
            file[name] = data
    return path


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "f8"])
def test_frames_are_the_columns(tmp_path, dtype):
    path = register(tmp_path / "r.hdf5", s1_run=frames(3, dtype), s1_hop=frames(2, dtype))
    assert list_sequences(path) == {"s1_hop": 2, "s1_run": 3}
    scan = read_frame(path, "s1_run", 2)
    np.testing.assert_array_equal(scan.vertices, frames(3, dtype)[:, :, 2])
    np.testing.assert_array_equal(scan.faces, FACES)
    assert scan.normals is None


def test_sources_of_registrations(tmp_path):
    register(tmp_path / "registrations_m.hdf5", s2_run=frames(3))
    register(tmp_path / "registrations_f.hdf5", s1_run=frames(5), s1_hop=frames(2))
    (tmp_path / "README.txt").write_text("x")
    names = [source.name for source in find_sources(tmp_path)]
    assert names == sorted(names) and len(names) == 10
    assert [s.name for s in find_sources(tmp_path / "registrations_m.hdf5")] == [
        f"s2_run_{i:05d}" for i in range(3)
    ]
    thinned = [source.name for source in find_sources(tmp_path, every=2)]
    assert thinned == [
        *("s1_hop_00000", "s1_run_00000", "s1_run_00002", "s1_run_00004"),
        *("s2_run_00000", "s2_run_00002"),
    ]
    (source,) = find_sources(tmp_path, ["s1_hop_00001"])
    raw, digest = source.load()
    np.testing.assert_allclose(raw.vertices, VERTICES * 2, rtol=1e-6)
    assert len(digest) == 64 and str(source).endswith("registrations_f.hdf5/s1_hop[:, :, 1]")


def test_sources_of_raw_scans(tmp_path):
    folder = tmp_path / "scans" / "50001" / "hips"
    folder.mkdir(parents=True)
    for frame in ("000012", "000013", "000020"):
        BALL.export(folder / f"hips.{frame}.ply")
    (folder / "Thumbs.db").write_text("x")
    (folder / "hips.000021.ply.part").write_text("x")
    for root in (tmp_path, tmp_path / "scans"):
        names = [source.name for source in find_sources(root)]
        assert names == ["50001_hips_000012", "50001_hips_000013", "50001_hips_000020"]
    assert [s.name for s in find_sources(tmp_path, every=2)] == [names[0], names[2]]


def link(kind):
    def change(file):
        del file["s"]
        file["s"] = h5py.SoftLink("/s") if kind == "soft" else h5py.ExternalLink("x.h5", "/s")

    return change


def declare(file):
    del file["s"]
    file.create_dataset("s", (len(VERTICES), 3, 10**8), "f4", chunks=(len(VERTICES), 3, 1))


def group(file):
    file.create_group("t")


@pytest.mark.parametrize(
    ("faces", "data", "change", "message"),
    [
        (None, frames(2), None, "no 'faces'"),
        (FACES, None, None, "no sequence"),
        (FACES, frames(4).transpose(0, 2, 1), None, r"axes must be \(vertices, 3, frames\)"),
        (FACES, frames(3).transpose(2, 0, 1), None, "axes must be"),
        (FACES, VERTICES, None, "axes must be"),
        (FACES, frames(1)[:, :, :0], None, "has no frame"),
        (FACES, np.array([b"x", b"y"]), None, "numbers are needed"),
        (FACES + 1, frames(1), None, "seem to start at 1"),
        (FACES - 1, frames(1), None, "face indices -1"),
        (FACES * 1.0, frames(1), None, "numbers are needed"),
        (FACES[:, :2], frames(1), None, r"\[F,3\] is needed"),
        (FACES, frames(1), link("soft"), "is a link"),
        (FACES, frames(1), link("external"), "is a link"),
        (FACES, frames(1), declare, "but holds 0"),
        (FACES, frames(1), group, "is a group"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, faces, data, change, message):
    path = register(tmp_path / "r.hdf5", faces, **({} if data is None else {"s": data}))
    if change is not None:
        with h5py.File(path, "r+") as file:
            change(file)
    with pytest.raises(InputError, match=message) as caught:
        list_sequences(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_sequences_must_share_their_vertices(tmp_path):
    path = register(tmp_path / "r.hdf5", FACES[:1], a=frames(1), b=frames(1)[:-1])
    with pytest.raises(InputError, match="one 'faces' fits one"):
        list_sequences(path)


def test_a_bad_frame_costs_itself_alone(tmp_path):
    data = frames(3)
    data[:, :, 1] = np.nan
    path = register(tmp_path / "r.hdf5", s=data)
    with pytest.raises(InputError, match="frame 1 of 's'"):
        read_frame(path, "s", 1)
    assert read_frame(path, "s", 2).vertices.shape == VERTICES.shape


def test_truncated_anywhere_is_refused_or_read_right(tmp_path):
    path = register(tmp_path / "r.hdf5", s=frames(2))
    content = path.read_bytes()
    for size in np.linspace(0, len(content) - 1, 30).astype(int):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match="not a readable HDF5 file"):
            list_sequences(path)


@pytest.mark.skipif(not BODIES.is_dir(), reason="no ../shared/data/bodies beside the checkout")
def test_shared_bodies():
    registrations = find_sources(BODIES)
    assert len(registrations) == 415 and registrations[0].name == "60001_chicken_wings_00000"
    scans = find_sources(BODIES / "scans")
    assert len(scans) == 20 and scans[0].name == "60001_chicken_wings_001859"
    raw, _ = registrations[7].load()
    mesh = trimesh.Trimesh(raw.vertices, raw.faces, process=False)
    assert mesh.is_watertight and 0.03 < mesh.volume < 0.2
