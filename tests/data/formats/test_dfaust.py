"""The D-FAUST layouts: names, frames, and the files that nearly look right."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from shapespace.data.formats.dfaust import list_frames, list_sequences, read_frame
from shapespace.data.prepare.run import prepare
from shapespace.data.sources import discover, find_sources
from shapespace.errors import InputError
from tests.conftest import write_registrations

BALL = trimesh.creation.icosphere(subdivisions=1)
VERTICES, FACES = np.asarray(BALL.vertices), np.asarray(BALL.faces)
BODIES = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "bodies"


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


def scan(folder, motion, *numbers, subject="s1"):
    place = folder / "scans" / subject / motion
    place.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        BALL.export(place / f"{motion}.{number}.ply")


def listing(folder, *rows, header="subject,sequence,frame_name,registration_column"):
    (folder / "frames.csv").write_text("\n".join([header, *rows]) + "\n")


def test_frames_csv_joins_registrations_and_raw_scans(tmp_path):
    register(tmp_path / "registrations_m.hdf5", s1_one_leg=frames(3), s1_run=frames(2))
    scan(tmp_path, "one_leg", "000107", "000109")
    listing(
        tmp_path,
        "s1,one_leg,one_leg.000107,1",
        "s1,one_leg,one_leg.000105,0",
        "s1,one_leg,one_leg.000109,2",
        "s1,run,run.000300,1",
        "s1,run,run.000900,0",
        "s9,other,other.000001,7",
    )
    found = find_sources(tmp_path)
    assert [(source.name, source.frame) for source in found] == [
        ("s1_one_leg_000105", 0),
        ("s1_one_leg_000107", 1),
        ("s1_one_leg_000109", 2),
        ("s1_run_000300", 1),
        ("s1_run_000900", 0),
    ]
    np.testing.assert_allclose(found[3].load()[0].vertices, 2 * VERTICES, rtol=1e-6)
    raw = [source.name for source in find_sources(tmp_path / "scans")]
    assert raw == ["s1_one_leg_000107", "s1_one_leg_000109"] and set(raw) < {s.name for s in found}
    assert discover(tmp_path)[1] == {".ply": 2}
    assert [s.name for s in find_sources(tmp_path, every=2)] == [
        "s1_one_leg_000105",
        "s1_one_leg_000109",
        "s1_run_000300",
    ]
    assert find_sources(tmp_path / "registrations_m.hdf5") == found
    assert [s.frame for s in find_sources(tmp_path, ["s1_run_000300"])] == [1]


def test_frames_csv_with_numbers_and_other_columns(tmp_path):
    path = register(tmp_path / "registrations_m.hdf5", s1_run=frames(2))
    rows = ("s1,f,run,0,1856,", "s1,f,run,1,1234567,x")
    listing(tmp_path, *rows, header="\ufeffsubject,sex,sequence,registration_column,frame_number,n")
    assert list_frames(path) == {"s1_run": ["001856", "1234567"]}


def test_as_many_raw_scans_as_columns_name_them_in_order(tmp_path):
    path = register(tmp_path / "registrations_m.hdf5", s1_run=frames(3), s1_hop=frames(2))
    scan(tmp_path, "run", "000999", "001001", "001003")
    scan(tmp_path, "hop", "000001", "000002", "000003")
    assert list_frames(path) == {
        "s1_run": ["000999", "001001", "001003"],
        "s1_hop": ["00000", "00001"],
    }
    joined = {s.name for s in find_sources(tmp_path)} & {
        s.name for s in find_sources(tmp_path / "scans")
    }
    assert joined == {"s1_run_000999", "s1_run_001001", "s1_run_001003"}
    thinned = {s.name for s in find_sources(tmp_path, every=2)}
    assert thinned >= {"s1_run_000999", "s1_run_001003"}


def test_frames_are_counted_by_number_not_by_digits(tmp_path):
    path = register(tmp_path / "registrations_m.hdf5", s1_run=frames(3))
    scan(tmp_path, "run", "9", "10", "101")
    assert list_frames(path) == {"s1_run": ["9", "10", "101"]}
    for root in (tmp_path, tmp_path / "scans"):
        names = [source.name for source in find_sources(root, every=2)]
        assert names == ["s1_run_101", "s1_run_9"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "names 0 of the 2 columns of 's1_run'"),
        (["s1,run,run.1,0"], "names 1 of the 2 columns"),
        (["s1,run,run.1,0", "s1,run,run.2,0"], "line 3: 's1_run' has column 0 or frame 2 twice"),
        (["s1,run,run.1,0", "s1,run,run.1,1"], "has column 1 or frame 1 twice"),
        (["s1,run,run.1,0", "s1,run,run.01,1"], "has column 1 or frame 01 twice"),
        (["s1,run,run.1,0", "s1,run,run.2,1", "s1,run,run.3,2"], "column '2'; .* columns 0 to 1"),
        (["s1,run,run.1,-1"], "registration_column '-1'"),
        (["s1,run,run.1,1.0"], "registration_column '1.0'"),
        (["s1,run,run.1"], "registration_column ''"),
        (["s1,run,hop.1,0"], r"frame 'hop.1'; write it as run\.001831"),
        (["s1,run,,0"], "frame ''"),
        (["s1,run,run.1x,0"], "frame 'run.1x'"),
        (["s1,run,run.../../1,0"], "frame"),
        (['s1,run,"run.1\n",0'], "frame"),
        (["s1,run," + "x" * 200_000], "cannot be read as CSV"),
    ],
)
def test_frames_csv_must_name_each_column_once(tmp_path, rows, message):
    register(tmp_path / "registrations_m.hdf5", s1_run=frames(2))
    listing(tmp_path, *rows)
    with pytest.raises(InputError, match=message) as caught:
        find_sources(tmp_path)
    assert "frames.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column frame_name or registration_column or sequence or subject"),
        (b"subject,sequence,registration_column\n", "no column frame_name"),
        (b"subject;sequence;frame_name;registration_column\n", "no column"),
        (b"\xff\xfe", "cannot be read as CSV"),
    ],
)
def test_frames_csv_of_another_kind(tmp_path, content, message):
    path = register(tmp_path / "r.hdf5", s1_run=frames(2))
    path.with_name("frames.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        list_frames(path)


@pytest.mark.parametrize("chunks", [None, (42, 3, 1), (7, 1, 2), (42, 3, 5), (1, 3, 5)], ids=str)
def test_any_chunks_give_the_same_frames(tmp_path, chunks):
    data = {name: frames(5) * size for name, size in (("a", 1), ("b", 2))}
    path = tmp_path / "r.hdf5"
    with h5py.File(path, "w") as file:
        file["faces"] = FACES
        for name, values in data.items():
            file.create_dataset(name, data=values, chunks=chunks, compression=chunks and "gzip")
    for name, column in (("a", 0), ("b", 0), ("b", 4), ("a", 3), ("a", 1)):
        np.testing.assert_array_equal(
            read_frame(path, name, column).vertices, data[name][:, :, column]
        )
    register(path, a=frames(2) * 3)
    np.testing.assert_array_equal(read_frame(path, "a", 1).vertices, frames(2)[:, :, 1] * 3)


def test_a_raw_scan_has_its_name_also_by_itself(tmp_path, monkeypatch):
    scan(tmp_path, "run", "000999", "x")
    folder = tmp_path / "scans" / "s1" / "run"
    (source,) = find_sources(folder / "run.000999.ply")
    assert source in find_sources(tmp_path) and source.name == "s1_run_000999"
    assert [s.name for s in find_sources(folder / "run.x.ply")] == ["run.x"]
    monkeypatch.chdir(folder)
    assert [s.name for s in find_sources(Path("run.000999.ply"))] == ["s1_run_000999"]
    (tmp_path / "scans").rename(tmp_path / "other")
    elsewhere = tmp_path / "other" / "s1" / "run" / "run.000999.ply"
    assert [s.name for s in find_sources(elsewhere)] == ["run.000999"]


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
    assert len(registrations) == 415 and registrations[0].name == "60001_chicken_wings_001856"
    scans = find_sources(BODIES / "scans")
    assert len(scans) == 20 and scans[0].name == "60001_chicken_wings_001859"
    assert {source.name for source in scans} < {source.name for source in registrations}
    raw, _ = registrations[7].load()
    mesh = trimesh.Trimesh(raw.vertices, raw.faces, process=False)
    assert mesh.is_watertight and 0.03 < mesh.volume < 0.2


@pytest.mark.skipif(not BODIES.is_dir(), reason="no ../shared/data/bodies beside the checkout")
def test_a_raw_scan_lies_on_the_registration_of_its_name():
    registrations = {source.name: source for source in find_sources(BODIES)}
    for source in find_sources(BODIES / "scans")[::4]:
        tree = KDTree(registrations[source.name].load()[0].vertices)
        distance = tree.query(source.load()[0].vertices)[0]
        assert np.median(distance) < 0.012


def test_a_part_of_the_raw_scans_has_the_names_of_the_whole(tmp_path):
    scans = tmp_path / "scans"
    for subject in ("50002", "50004"):
        for frame in (1, 2):
            path = scans / subject / "hips" / f"hips.{frame:06d}.ply"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"ply")
    names = [source.name for source in find_sources(tmp_path)]
    assert names[0] == "50002_hips_000001" and len(names) == 4
    for folder in (scans / "50002", scans / "50002" / "hips"):
        assert [source.name for source in find_sources(folder)] == names[:2]
        assert {source.sequence for source in find_sources(folder)} == {"50002_hips"}


def test_scan_files_beside_registrations_are_said_to_be_left(tmp_path):
    folder = write_registrations(tmp_path / "d", {"50002_hips": 2})
    trimesh.creation.icosphere(2).export(folder / "other.ply")
    said = str(prepare(folder, tmp_path / "s.hdf5", num_points=60, progress=False))
    assert "warning: scan files left: 1 (1 .ply); of a D-FAUST folder its registrations" in said
    (folder / "other.ply").unlink()
    again = str(prepare(folder, tmp_path / "t.hdf5", num_points=60, progress=False))
    assert "files left" not in again
