"""Stores as a stranger might make them: a good one, and one for each thing that can be wrong.

``STRANGERS`` maps a name to a function of the path of a good store, which spoils it. Those of
members and attributes are made for all that a good store has, so that none is forgotten.
"""

import hashlib
import os
import struct
import tempfile
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import h5py
import numpy as np

from shapespace.data.store.hdf5 import set_attributes
from shapespace.data.store.layout import FORMAT, VERSION, write_scan
from shapespace.scan import Targets
from tests.data.store.test_store import make_scan, write

SECRET = "/etc/passwd"
FIFO = "fifo"  # beside each store: who opens it hangs
NOWHERE = 60000  # a filter that nobody has


def good_store(path):
    """Two scans: "a" with all that a scan may have, "b" with no normals and no targets."""
    path.write_bytes(_good())
    return path


@cache
def _good():
    rng = np.random.default_rng(0)
    around = Targets(rng.random((20, 3), np.float32), rng.random(20, np.float32), True)
    scans = make_scan("a", targets=around), make_scan("b", normals=False, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder) / "s.hdf5", *scans).read_bytes()


def spoiled(folder, name):
    """The path of a store in ``folder`` with the fault ``name``."""
    place = Path(folder) / f"{list(STRANGERS).index(name)}"
    place.mkdir()
    os.mkfifo(place / FIFO)
    path = good_store(place / "s.hdf5")
    STRANGERS[name](path)
    return path


def _layout():
    """Datasets and attributes of the good store: [place], [(place, name)]."""
    with (
        tempfile.TemporaryDirectory() as folder,
        h5py.File(good_store(Path(folder) / "s.hdf5")) as file,
    ):
        datasets = [f"scans/a/{key}" for key in file["scans/a"]]
        places = ("/", "scans/a")
        return datasets, [(place, name) for place in places for name in file[place].attrs]


def _in_file(change, path):
    with h5py.File(path, "r+") as file:
        change(file)


def _instead(place, make, file):
    if place in file:
        del file[place]
    make(file, place)


def _attribute(place, name, make, file):
    old = file[place].attrs[name]
    del file[place].attrs[name]
    if make is not None:
        file[place].attrs.create(name, **make(file, old))


def _low_level(file, place, shape, prepare, kind=h5py.h5t.IEEE_F32LE):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    space = prepare(plist, file) or h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, place.encode(), kind, space, plist)


def _unlimited_virtual(plist, file):
    """Its extent is that of another file, which the library opens to tell the shape."""
    most = (h5py.h5s.UNLIMITED, 3)
    space = h5py.h5s.create_simple((0, 3), most)
    space.select_hyperslab((0, 0), (1, 1), (1, 1), most)
    other = str(Path(file.filename).with_name(FIFO)).encode()
    plist.set_virtual(space, other, b"x", space)
    return h5py.h5s.create_simple((0, 3), most)


def _foreign_filter(plist, _):
    plist.set_chunk((8, 3))
    plist.set_filter(NOWHERE, h5py.h5z.FLAG_OPTIONAL, (1, 2))


def _compact(plist, _):
    plist.set_layout(h5py.h5d.COMPACT)


def _late(plist, _):
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)


def _virtual(file, place):
    layout = h5py.VirtualLayout((80, 3), "f4")
    other = str(Path(file.filename).with_name(FIFO))
    layout[:] = h5py.VirtualSource(other, "x", (80, 3), "f4")
    file.create_virtual_dataset(place, layout)


def _again(change, file, place):
    """What stood at ``place``, changed."""
    old = file[place][...]
    del file[place]
    file[place] = change(old)


def _beside_fifo(file, place):
    file[place] = h5py.ExternalLink(str(Path(file.filename).with_name(FIFO)), "/")


def _external_storage(file, place):
    file.create_dataset(place, (80, 3), "f4", external=[(SECRET, 0, 960)])


def _set(value, file, place):
    file[place] = value


def _same(other, file, place):
    file[place] = file[other if other in file else "/"]


LINKS = {
    "link to a secret": partial(_set, h5py.ExternalLink(SECRET, "/")),
    "link to a fifo": _beside_fifo,
    "link to another": partial(_set, h5py.SoftLink("/scans/b/points")),
    "link to nowhere": partial(_set, h5py.SoftLink("/nothing")),
    "group": lambda file, place: file.create_group(place),
    "type": partial(_set, np.dtype("f8")),
    "hard link to scans/b": partial(_same, "scans/b"),
    "hard link to the root": partial(_same, "/"),
}
"""What may stand where a dataset, a scan, or all scans should."""

DATASETS = {
    "missing": lambda file, place: None,
    "float64": partial(_set, np.zeros((80, 3))),
    "int32": partial(_set, np.zeros((80, 3), np.int32)),
    "big endian": partial(_set, np.zeros((80, 3), ">f4")),
    "complex": partial(_set, np.zeros((80, 3), np.complex64)),
    "compound": partial(_set, np.zeros(80, [("x", "f4"), ("y", "f4")])),
    "text": partial(_set, [b"x"] * 80),
    "long text": partial(_set, ["x"] * 80),
    "scalar": partial(_set, np.float32(1)),
    "no space": partial(_set, h5py.Empty("f4")),
    "no points": partial(_set, np.zeros((0, 3), np.float32)),
    "no columns": partial(_set, np.zeros((80, 0), np.float32)),
    "many axes": partial(_set, np.zeros((80, 3, 1, 1), np.float32)),
    "external storage": _external_storage,
    "virtual": _virtual,
    "unlimited virtual": partial(_low_level, shape=None, prepare=_unlimited_virtual),
    "foreign filter": partial(_low_level, shape=(80, 3), prepare=_foreign_filter),
    "compact": partial(_low_level, shape=(80, 3), prepare=_compact),
    "claims 12 TB": partial(_low_level, shape=(10**12, 3), prepare=_late),
    "claims 12 TB in chunks": lambda file, place: file.create_dataset(
        place, (10**12, 3), "f4", chunks=(1000, 3)
    ),
    "claims 12 TB packed": lambda file, place: file.create_dataset(
        place, (10**12, 3), "f4", chunks=(1000, 3), compression="gzip"
    ),
}
CHANGED = {
    "a row less": lambda old: old[:-1],
    "a row more": lambda old: np.concatenate([old, old[:1]]),
    "turned": lambda old: np.ascontiguousarray(old.T)[None],
    "zeros": np.zeros_like,
    "nan": lambda old: old * np.float64("nan") if old.dtype.kind == "f" else old[::-1],
}

ATTRIBUTES = {
    "missing": None,
    "infinite": lambda *_: {"data": np.inf},
    "nan": lambda *_: {"data": np.nan},
    "zero": lambda *_: {"data": 0.0},
    "negative": lambda *_: {"data": -7},
    "complex": lambda *_: {"data": 1j},
    "empty": lambda *_: {"data": h5py.Empty("f4")},
    "row": lambda *_: {"data": np.zeros(4)},
    "table": lambda *_: {"data": np.zeros((3, 3))},
    "row of texts": lambda *_: {"data": ["m", "x"], "dtype": h5py.string_dtype()},
    "text": lambda *_: {"data": "word"},
    "bytes": lambda *_: {"data": np.bytes_(b"\xff\xfe")},
    "compound": lambda *_: {"data": np.zeros((), [("x", "i4"), ("y", "f4")])},
    "ragged": lambda *_: {
        "data": np.array([np.arange(3), np.arange(2)], object), "dtype": h5py.vlen_dtype("i4")
    },
    "object": lambda file, _: {"data": file["scans"].ref, "dtype": h5py.ref_dtype},
    "region": lambda file, _: {
        "data": file["scans/b/points"].regionref[:2], "dtype": h5py.regionref_dtype
    },
}  # fmt: skip


def _patch(old, new, path):
    """Replace the last ``old`` of the file's bytes."""
    content = path.read_bytes()
    head, found, tail = content.rpartition(old)
    assert found, "the bytes to be replaced are not there"
    path.write_bytes(head + new + tail)


def _claimed_attribute(place, name, path):
    _in_file(partial(_attribute, place, name, lambda *_: {"data": np.zeros(1234)}), path)
    _patch(struct.pack("<Q", 1234), struct.pack("<Q", 10**9), path)


def _overlapping(path):
    with h5py.File(path) as file:
        one, two = (file[f"scans/a/{key}"].id.get_offset() for key in ("points", "sigma"))
    _patch(struct.pack("<QQ", two, 320), struct.pack("<QQ", one, 320), path)


def _beyond_the_end(path):
    with h5py.File(path) as file:
        at = file["scans/a/sigma"].id.get_offset()
    size = path.stat().st_size
    _patch(struct.pack("<QQ", at, 320), struct.pack("<QQ", size - 100, 320), path)


def _cut(share, path):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def _called(name, path):
    """A whole store, all checksums right, but for the name of its only scan."""
    text = name.decode("utf-8", "surrogateescape")
    scan = make_scan(text)
    content = hashlib.sha256(f"{text}\n{scan.checksum}\n".encode("utf-8", "surrogateescape"))
    with h5py.File(path, "w", libver="latest") as file:
        scans = file.create_group("scans")
        write_scan(scans, replace(scan, name="x"))
        set_attributes(scans["x"], checksum=scan.checksum)
        scans.id.links.move(b"x", scans.id, name)
        facts = {"format": FORMAT, "version": VERSION, "unit": "m", "dimension": 3, "shard": ""}
        set_attributes(file, **facts, content=content.hexdigest())


def _looped(path):
    with h5py.File(path, "r+") as file:
        del file["scans/a"]
        file["scans/a"] = h5py.SoftLink("/scans/c")
        file["scans/c"] = h5py.SoftLink("/scans/a")


def _userblock(path):
    old = path.rename(path.with_suffix(".old"))
    with h5py.File(old) as source, h5py.File(path, "w", userblock_size=1024) as file:
        source.copy("scans", file)
        for name in source.attrs:
            file.attrs.create(name, source.attrs[name], dtype=source.attrs.get_id(name).dtype)
    old.unlink()


def _strangers():
    datasets, attributes = _layout()
    found = {}
    for place in (
        *datasets,
        "index",
        "scans/b/normals",
        "scans/b/target_points",
        "scans/a",
        "scans",
    ):
        for what, make in LINKS.items():
            found[f"{place}: {what}"] = partial(_in_file, partial(_instead, place, make))
    for place in (*datasets, "index"):
        for what, make in DATASETS.items():
            found[f"{place}: {what}"] = partial(_in_file, partial(_instead, place, make))
        for what, change in CHANGED.items():
            again = partial(_again, change, place=place)
            found[f"{place}: {what}"] = partial(_in_file, again)
    for place, name in attributes:
        for what, make in ATTRIBUTES.items():
            spoil = partial(_attribute, place, name, make)
            found[f"{place}@{name}: {what}"] = partial(_in_file, spoil)
        found[f"{place}@{name}: claims 8 GB"] = partial(_claimed_attribute, place, name)
    for name in (b"a\nb", b"\xff", b"\x1b[31m", b"..", b"x" * 100_000):
        found[f"called {name[:9]!r}"] = partial(_called, name)
    found |= {"overlap": _overlapping, "beyond the end": _beyond_the_end, "loop": _looped}
    found |= {"user block": _userblock}
    return found | {f"cut {i}/50": partial(_cut, i / 50) for i in range(50)}


STRANGERS = _strangers()
