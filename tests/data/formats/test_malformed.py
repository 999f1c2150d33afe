"""Files on disk that are broken, odd or hostile: refused in one line or read, quickly and small.

Those of ``shared/data/malformed`` say what should become of them; more are made by mutation of
small good files of every format.
"""

import contextlib
import csv
import importlib.util
import io
import struct
import warnings
import zipfile
import zlib
from functools import partial

import h5py
import numpy as np
import pytest
import trimesh

from shapespace.cli.main import main
from shapespace.data.formats.readers import READERS
from shapespace.data.prepare import points as points_module
from shapespace.data.prepare.run import prepare
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from tests.conftest import ROOT
from tests.data.formats.test_readers import ply
from tests.data.formats.writers import e57, las, laz, pcd
from tests.mutations import mutated
from tests.sandbox import MEMORY, SECONDS, outcomes

MALFORMED = ROOT / ".." / "shared" / "data" / "malformed"
BALL = trimesh.creation.icosphere(subdivisions=1)
CLOUD = np.random.default_rng(0).normal(size=(60, 3))

needs_malformed = pytest.mark.skipif(
    not MALFORMED.is_dir(), reason="no ../shared/data/malformed by the checkout"
)


def expected():
    """File by file, the behaviour that EXPECT.csv suggests."""
    rows = csv.DictReader((MALFORMED / "EXPECT.csv").open(encoding="utf-8"))
    return {row["file"]: row["suggested_behaviour"] for row in rows}


def prepared(case):
    """What ``prepare`` makes of a file: "read" or "refused", and the reasons it gives."""
    path, store = case
    points_module.NUM_POINTS = 300
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            counts = prepare(path, store, progress=False).counts
    except InputError as error:
        said, reasons = "refused", [str(error)]
    else:
        said, reasons = "read", [reason for _, reason in counts.skipped]
        for name in counts.names:
            points, normals, sigma = ScanStore(store).read(name)
            assert np.isfinite(points).all() and (sigma is None or np.isfinite(sigma).all())
            assert normals is None or np.isfinite(normals).all()
    assert all("\n" not in reason and path.name in reason for reason in reasons)
    return said, reasons


def checked(path):
    """Exit code and errors of ``shapespace data check``."""
    points_module.NUM_POINTS = 300
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["data", "check", str(path), "--workers", "1"])
    return code, out.getvalue(), err.getvalue()


def all_well(cases, found):
    """No call died, and each kept the limits."""
    died = {str(case): o.died for case, o in zip(cases, found, strict=True) if o.died}
    assert died == {}
    assert max(outcome.memory for outcome in found) < MEMORY
    assert max(outcome.seconds for outcome in found) < SECONDS


@needs_malformed
def test_malformed_files(tmp_path):
    wishes = expected()
    cases = [(MALFORMED / name, tmp_path / f"{i}.hdf5") for i, name in enumerate(wishes)]
    found = outcomes(prepared, cases)
    all_well(cases, found)
    for (name, wish), outcome in zip(wishes.items(), found, strict=True):
        said, _ = outcome.value
        # layout/ is planted with faults of its split files, which prepare does not read
        if name != "layout/" and "or reject" not in wish:
            assert (said == "refused") == wish.startswith("reject"), name
    assert len(wishes) > 70


@needs_malformed
@pytest.mark.slow
def test_malformed_files_are_checked(tmp_path):
    wishes = expected()
    cases = [MALFORMED / name for name in wishes]
    found = outcomes(checked, cases, "shapespace.data.check")
    all_well(cases, found)
    for (name, wish), outcome in zip(wishes.items(), found, strict=True):
        code, out, err = outcome.value
        assert "Traceback" not in out + err and code in (0, 1, 2), name
        assert ("shapespace data" in err) == (code == 2), name
        if name != "layout/" and wish.startswith("reject with"):
            assert code > 0, name


def text_stl():
    return trimesh.exchange.stl.export_stl_ascii(BALL).encode()


def saved(save, *arguments, **arrays):
    file = io.BytesIO()
    save(file, *arguments, **arrays)
    return file.getvalue()


GOOD = {
    "ascii.ply": lambda: ply("ascii", BALL.vertices, BALL.faces.tolist()),
    "little.ply": lambda: ply("binary_little_endian", BALL.vertices, BALL.faces.tolist()),
    "big.ply": lambda: ply("binary_big_endian", BALL.vertices, BALL.faces.tolist()),
    "mixed.ply": lambda: ply("binary_little_endian", BALL.vertices, [[0, 1, 2], [0, 2, 3, 4]]),
    "mesh.obj": lambda: BALL.export(file_type="obj").encode(),
    "binary.stl": lambda: BALL.export(file_type="stl"),
    "text.stl": text_stl,
    "mesh.off": lambda: BALL.export(file_type="off").encode(),
    "mesh.glb": lambda: BALL.export(file_type="glb"),
    "mesh.npz": lambda: saved(np.savez, vertices=BALL.vertices, faces=BALL.faces),
    "packed.npz": lambda: saved(np.savez_compressed, points=CLOUD, normals=CLOUD),
    "cloud.npy": lambda: saved(np.save, CLOUD),
    "cloud.xyz": lambda: saved(np.savetxt, CLOUD),
    "cloud.txt": lambda: saved(np.savetxt, CLOUD[:, :2]),
    "cloud.csv": lambda: saved(np.savetxt, CLOUD, delimiter=",", header="x,y,z", comments=""),
    "cloud.asc": lambda: saved(np.savetxt, CLOUD, delimiter=";"),
    "cloud.pts": lambda: saved(np.savetxt, CLOUD, header="60", comments=""),
    "cloud.xyzn": lambda: saved(np.savetxt, np.hstack([CLOUD, CLOUD])),
    "cloud.xyzrgb": lambda: saved(np.savetxt, np.hstack([CLOUD, abs(CLOUD)])),
    "text.pcd": lambda: pcd(XYZ, CLOUD, "ascii"),
    "binary.pcd": lambda: pcd(XYZ, CLOUD, "binary"),
    "packed.pcd": lambda: pcd(XYZ, CLOUD, "binary_compressed"),
}
"""Small good files: name and content."""


XYZ = [("x", "f4"), ("y", "f4"), ("z", "f4")]
SCANNERS = {
    name: partial(write, CLOUD)
    for name, package, write in (
        ("cloud.las", "laspy", las),
        ("cloud.laz", "lazrs", laz),
        ("cloud.e57", "pye57", e57),
    )
    if importlib.util.find_spec(package)
}
"""The same for formats that are read by packages which may be missing."""


def mutate_and_prepare(case):
    folder, name, seed = case
    place = folder / f"{seed}.{name}"
    place.mkdir()
    path = place / name
    path.write_bytes(mutated((GOOD | SCANNERS)[name](), seed))
    return prepared((path, place / "s.hdf5"))[0]


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(2), id="few"),
        pytest.param(range(2, 12), id="many", marks=pytest.mark.slow),
    ],
)
def test_mutated_files_are_refused_or_read(tmp_path, seeds):
    good = [*GOOD, *SCANNERS]
    assert {f".{name.split('.')[1]}" for name in good} <= READERS.keys()
    assert READERS.keys() - {f".{name.split('.')[1]}" for name in GOOD} == {".las", ".laz", ".e57"}
    cases = [(tmp_path, name, seed) for name in good for seed in seeds]
    found = outcomes(mutate_and_prepare, cases)
    all_well(cases, found)
    assert {outcome.value for outcome in found} == {"read", "refused"}


def npy_header(shape, kind="<f8"):
    facts = {"descr": kind, "fortran_order": False, "shape": shape}
    return saved(np.lib.format.write_array_header_1_0, facts)


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("points.npy", content)
    return file.getvalue()


def glb(text):
    size = struct.pack("<II", 2, 20 + len(text))
    return b"glTF" + size + struct.pack("<I", len(text)) + b"JSON" + text


def packed_faces():
    """Registrations whose faces, all zero, take 1.5 GB in a file of 2 MB."""
    file, chunk = io.BytesIO(), zlib.compress(bytes(12 << 20))
    with h5py.File(file, "w") as store:
        faces = store.create_dataset(
            "faces", (1 << 27, 3), "u4", chunks=(1 << 20, 3), compression=1
        )
        for i in range(128):
            faces.id.write_direct_chunk((i << 20, 0), chunk)
        store["1_a"] = BALL.vertices[:, :, None].astype("f4")
    return file.getvalue()


LOOP = b'{"asset":{"version":"2.0"},"scene":0,"scenes":[{"nodes":[0]}],"nodes":[{"children":[0]}]}'
SECRET = b'{"asset":{"version":"2.0"},"buffers":[{"byteLength":12,"uri":"file:///etc/passwd"}]}'
HOSTILE = {
    "claims.npy": lambda: npy_header((10**11, 3)),
    "nothing.npy": lambda: npy_header((10**11, 0)),
    "void.npy": lambda: npy_header((10**11, 3), "|V0"),
    "claims.npz": lambda: zipped(npy_header((10**11, 3))),
    "deep.glb": lambda: glb(b"[" * 200_000),
    "loop.glb": lambda: glb(LOOP),
    "secret.glb": lambda: glb(SECRET),
    "fan.obj": lambda: b"v 1 2 3\n" * 10 + b"f " + b"1 " * 2_000_000,
    "fan.off": lambda: b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n2000000" + b" 1" * 2_000_000,
    "line.xyz": lambda: b"1 " * 1_000_000,
    "faces.hdf5": packed_faces,
}
"""Small files that would take much time or memory, or lead elsewhere: name and content."""


def test_hostile_files_are_refused(tmp_path):
    cases = [(tmp_path / name, tmp_path / f"{name}.store.hdf5") for name in HOSTILE]
    for path, _ in cases:
        path.write_bytes(HOSTILE[path.name]())
    found = outcomes(prepared, cases)
    all_well(cases, found)
    assert {outcome.value[0] for outcome in found} == {"refused"}
    assert not any("root:" in str(outcome.value) for outcome in found)
