"""Splits: whole things stay whole, gaps are true, and wrong names and files are one line."""

import json
from random import Random

import numpy as np
import pytest
import trimesh

from shapespace.data.names import PATTERN, FrameName, frame_gaps, parse_names
from shapespace.data.sources import find_sources
from shapespace.data.splits import scan_names, split, split_files
from shapespace.errors import InputError
from shapespace.training.datamodule import ScanData
from shapespace.utils.files import read_lines
from tests.conftest import ROOT, write_registrations, write_toy_store

LAYOUT = ROOT / ".." / "shared" / "data" / "malformed" / "layout"
FAUST = r".*tr_(?:reg|scan)_(?=(?P<frame>[0-9]{3})$)(?P<subject>[0-9]{2})(?P<sequence>[0-9])"


def dfaust(subjects=10, sequences=4, frames=20, every=5):
    """Names as the raw D-FAUST has them, every ``every``-th frame of each sequence."""
    return [
        f"{50000 + s}_motion_{m}_{1000 * m + 7 * s + every * f:06d}"
        for s in range(subjects)
        for m in range(sequences)
        for f in range(frames)
    ]


NAMES = dfaust()


def subject(name):
    return name.split("_")[0]


def sequence(name):
    return name.rpartition("_")[0]


def frame(name):
    return int(name.rpartition("_")[2])


def parse_name(name, pattern=PATTERN):
    return parse_names([name], pattern).get(name)


def slow_gaps(train, test):
    known = [(sequence(name), frame(name)) for name in train]
    gaps = {}
    for name in test:
        here, at = sequence(name), frame(name)
        gaps[name] = min(
            (abs(at - number) for there, number in known if there == here), default=None
        )
    return gaps


def test_names_say_subject_sequence_and_frame():
    assert parse_name("50025_chicken_wings_001831") == FrameName("50025", "chicken_wings", 1831)
    assert parse_name("50002_hips_00040") == FrameName("50002", "hips", 40)
    assert parse_name("50002_1_2_3") == FrameName("50002", "1_2", 3)
    for name in ("", "bunny", "50002_40", "_hips_1", "50002__1", "50002_hips_1x", "50002_hips_"):
        assert parse_name(name) is None
    assert parse_name("a_b_" + 13 * "9") is None


def test_a_pattern_of_ones_own():
    pattern = r"(?P<sequence>run|hop)-(?P<frame>\d+)@(?P<subject>.+)"
    assert parse_name("hop-12@anna", pattern) == FrameName("anna", "hop", 12)
    assert parse_name("hop-12@", pattern) is None
    assert parse_name("hop-\u0661@anna", pattern) is None
    optional = r"(?:(?P<subject>s\d)_)?(?P<sequence>[a-z]*)(?P<frame>\d+)"
    assert parse_name("run7", optional) == FrameName("", "run", 7)


def test_faust_names_by_person_and_pose():
    names = [f"tr_reg_{i:03d}" for i in range(100)]
    assert parse_name("tr_reg_047", FAUST) == FrameName("04", "7", 47)
    assert parse_name("training_scans_tr_scan_047", FAUST) == FrameName("04", "7", 47)
    found = split(names, "subject", hold_out=["08", "09"], pattern=FAUST)
    assert found.test == tuple(names[80:]) and found.train == tuple(names[:80])
    found = split(names, "sequence", hold_out=["3"], pattern=FAUST)
    assert found.test == tuple(names[3::10])
    assert "LEAK" not in str(split(names, "random", pattern=FAUST))


@pytest.mark.parametrize("by", ["subject", "sequence", "frames", "random"])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.95])
def test_laws(by, share):
    options = {"share": share, "margin": 0 if share > 0.9 else 10}
    found = split(NAMES, by, seed=3, **options)
    parts = (found.train, found.test, found.left_out)
    assert sorted(name for part in parts for name in part) == sorted(NAMES)
    assert all(part == tuple(sorted(part)) for part in parts)
    assert found.train and found.test and (by == "frames" or not found.left_out)
    assert found.gaps == slow_gaps(found.train, found.test) and list(found.gaps) == [*found.test]
    mixed = Random(1).sample(NAMES, len(NAMES))
    assert split(mixed, by, seed=3, **options) == found
    assert split(set(NAMES), by, seed=3, **options) == found
    slack = {"subject": 0.051, "sequence": 0.014, "frames": 0.0001, "random": 0.0001}[by]
    assert len(found.test) / len(NAMES) == pytest.approx(share, abs=slack)
    others = [split(NAMES, by, seed=seed, **options).test for seed in range(4, 10)]
    assert len({found.test, *others}) > 1


def test_subjects_stay_whole_and_sequences_too():
    found = split(NAMES, "subject")
    assert not set(map(subject, found.train)) & set(map(subject, found.test))
    found = split(NAMES, "sequence")
    assert not set(map(sequence, found.train)) & set(map(sequence, found.test))
    assert set(found.gaps.values()) == {None}
    assert "gap -  (no training scan of its sequence)" in str(found)
    assert "no test scan has a training scan of its sequence" in str(found)
    assert "LEAK" not in str(found)


def test_sequences_are_pairs_not_joined_names():
    names = ["a b_c 1", "a b_c 2", "a_b c 1", "a_b c 2"]
    pattern = r"(?P<subject>\w+) (?P<sequence>\w+) (?P<frame>\d+)"
    found = split(names, "sequence", share=0.5, pattern=pattern)
    assert found.gaps == dict.fromkeys(found.test) and len(found.test) == 2


def test_what_is_held_out_can_be_named():
    assert set(map(subject, split(NAMES, "subject", hold_out=["50001", "50003"]).test)) == {
        "50001",
        "50003",
    }
    held = split(NAMES, "sequence", hold_out=["motion_1", "50002_motion_3", "50004"]).test
    expected = {sequence(n) for n in NAMES if "motion_1" in n or n.startswith("50004")}
    assert set(map(sequence, held)) == expected | {"50002_motion_3"}


@pytest.mark.parametrize("margin", [0, 4, 5, 10, 14])
def test_blocks_of_frames(margin):
    found = split(NAMES, "frames", share=0.25, margin=margin, seed=1)
    gaps = [gap for gap in found.gaps.values() if gap is not None]
    assert min(gaps) == 5 * (margin // 5 + 1)
    assert ("LEAK" in str(found)) == (min(gaps) <= 10)
    for name in set(map(sequence, NAMES)):
        whole = sorted(frame(n) for n in NAMES if sequence(n) == name)
        block = sorted(frame(n) for n in found.test if sequence(n) == name)
        first = whole.index(block[0])
        assert whole[first : first + 5] == block and len(block) == 5
        near = [f for f in whole if min(abs(f - b) for b in block) <= margin]
        out = [frame(n) for n in found.left_out if sequence(n) == name]
        assert sorted([*block, *out]) == near


def test_blocks_of_short_sequences():
    found = split(["a_x_1", "a_x_2", "a_y_1", "b_x_50", "b_x_90"], "frames", margin=0)
    assert len(found.test) == 2 and {"a_y_1"} < set(found.train)
    found = split(["a_x_1", "a_x_2", "b_x_50"], "frames", margin=10)
    assert len(found.test) == len(found.left_out) == 1
    assert found.train == ("b_x_50",) and list(found.gaps.values()) == [None]


def test_gaps_equal_the_slow_ones():
    random = np.random.default_rng(0)
    for _ in range(20):
        names = {f"{random.integers(3)}_s_{random.integers(60)}" for _ in range(40)}
        train = {name for name in names if random.random() < 0.5}
        test = sorted(names - train)
        assert frame_gaps(train, test, parse_names(names)) == slow_gaps(train, test)
    assert frame_gaps([], ["a_b_1", "x"], parse_names(["a_b_1"])) == {"a_b_1": None, "x": None}


def test_the_published_way_leaks():
    names = dfaust(subjects=3, sequences=43, frames=60)
    found = split(names, "random", share=0.25)
    near = np.mean([gap <= 5 for gap in slow_gaps(found.train, found.test).values()])
    assert len(found.test) == len(names) // 4
    assert found.share_within(5) == near > 0.8
    _, summary, leak, empty, *_ = str(found).splitlines()
    assert empty == ""
    assert f"within 5 frames of a training scan: {100 * near:.0f} %" in summary
    assert "median gap 5" in summary
    assert leak.startswith(f"LEAK: {100 * near:.0f} % of the test scans") and "--by" in leak


def test_text():
    names = ["a_x_000001", "a_x_000008", "b_y_000001", "b_y_000099"]
    found = split(names, "frames", share=0.4, margin=0, seed=0)
    lines = str(found).splitlines()
    assert lines[0] == "train 2, test 2, left out 0"
    # What matters stands first, then a line for each test scan.
    assert lines[1] == (
        "test scans within 5 frames of a training scan: 0 %, within 10: 50 %; median gap 52.5"
    )
    assert lines[2].startswith("LEAK: 50 % of the test scans lie within 10 frames")
    assert lines[3:] == ["", f"{found.test[0]}  gap 7", f"{found.test[1]}  gap 98"]


def test_names_that_do_not_fit_split_at_random_alone():
    found = split(["bunny", "armadillo", "dragon", "a_x_1"], "random", share=0.7)
    unknown = set(found.test) - {"a_x_1"}
    assert len(found.test) == 3 and found.unparsed == unknown
    assert all(f"{name}  gap ?" in str(found) for name in unknown)
    assert f"gaps unknown: {len(unknown)} of 3" in str(found) and "LEAK" not in str(found)
    with pytest.raises(InputError, match=r"'bunny' and 1 more: not named by <subject>_.*--pattern"):
        split(["a_x_1", "bunny", "dragon"], "subject")


TWO = ["a_x_1", "b_x_2"]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], {}, "scans to split: 0; give at least two"),
        (["a_x_1"], {"by": "random"}, "at least two"),
        ([*TWO, "a_x_1"], {}, "'a_x_1' names two scans"),
        ([*TWO, "a_x_1 "], {}, "cannot be a line"),
        ([*TWO, "a\n_x_1"], {}, "cannot be a line"),
        ([*TWO, "a\udcff_x_1"], {}, "cannot be a line"),
        (TWO, {"share": 0.0}, "share=0.0: give a number between"),
        (TWO, {"share": 1.0}, "share=1.0"),
        (TWO, {"share": float("nan")}, "share=nan"),
        (TWO, {"margin": -1}, "margin=-1"),
        (TWO, {"seed": -1}, "seed=-1"),
        (TWO, {"by": "frames", "hold_out": ["a"]}, "hold_out with by='frames'"),
        (TWO, {"by": "random", "hold_out": ["a"]}, "hold_out with by='random'"),
        (TWO, {"hold_out": ["c"]}, "no such subject; one of them is .*--by sequence"),
        (TWO, {"hold_out": ["x"]}, "no such subject"),
        (TWO, {"by": "sequence", "hold_out": ["b_y"]}, "no such sequence; the nearest is 'b_x'"),
        (TWO, {"hold_out": ["a", "b"]}, "by=subject: no scan would be left to train on"),
        (["a_x_1", "a_y_1"], {}, "left to train on; .* --by sequence"),
        (["a_x_1", "a_x_2"], {"by": "sequence"}, "left to train on; .* --by frames"),
        (TWO, {"by": "frames"}, "no scan would be left to test on"),
        (["a_x_1", "a_x_2"], {"by": "frames"}, "no scan would be left to train on; lower --margin"),
        (TWO, {"pattern": "("}, "not a regular expression"),
        (TWO, {"pattern": "(?P<subject>.)_(?P<frame>.*)"}, r"lacks the named groups \(\?P<seq"),
        (TWO, {"pattern": "(?P<subject>.)(?P<sequence>.)(?P<frame>.)"}, "'a_x_1' and 1 more"),
    ],
)
def test_what_is_wrong_is_one_line(names, options, message):
    with pytest.raises(InputError, match=message) as caught:
        split(names, **{"by": "subject", **options})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_files(tmp_path):
    out = tmp_path / "a" / "splits"
    found = split(NAMES, "frames")
    written = found.write(out)
    assert [path.name for path in written] == ["train.txt", "test.txt", "left_out.txt"]
    for path in written:
        assert path.read_text() == "".join(f"{n}\n" for n in getattr(found, path.stem))
        assert tuple(read_lines(path)) == getattr(found, path.stem)
    split(NAMES, "subject").write(out)
    assert sorted(path.name for path in out.iterdir()) == ["test.txt", "train.txt"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be an output folder"):
        found.write(tmp_path / "file")


def test_names_of_stores_and_folders(tmp_path):
    store = write_toy_store(tmp_path / "s.hdf5", {"a_x_1": (1, 1, 1), "b_x_1": (1, 1, 0.9)})
    assert scan_names(store) == ["a_x_1", "b_x_1"]
    folder = write_registrations(tmp_path / "r", {"a_x": 2})
    assert scan_names(folder) == scan_names(folder / "registrations_m.hdf5")
    assert scan_names(folder) == ["a_x_00000", "a_x_00001"]
    found = split_files(store, tmp_path / "out", "subject", hold_out=["b"])
    assert (tmp_path / "out/test.txt").read_text() == "b_x_1\n" and found.train == ("a_x_1",)
    for path in (tmp_path / "none.hdf5", tmp_path / "none"):
        with pytest.raises(InputError, match="there is no such file"):
            split_files(path, tmp_path / "out", "subject")
    (tmp_path / "bad.hdf5").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        scan_names(tmp_path / "bad.hdf5")


def raw_layout(folder):
    """A small D-FAUST: two sequences of a subject, frames with a gap, and strays beside them."""
    ball = trimesh.creation.icosphere(2)
    for motion, numbers in {"spin": (12, 13, 15), "jump": (1, 2)}.items():
        (folder / "scans/70001" / motion).mkdir(parents=True)
        for number in numbers:
            ball.export(folder / f"scans/70001/{motion}/{motion}.{number:06d}.ply")
    (folder / "scans/70001/empty_sequence").mkdir()
    (folder / "scans/70001/spin/Thumbs.db").write_text("x")
    (folder / "scans/70001/spin/spin.000014.ply.part").write_text("x")
    return folder


def test_a_raw_layout_is_split_by_what_is_there(tmp_path):
    found = split_files(raw_layout(tmp_path / "d"), tmp_path / "o", "sequence", hold_out=["spin"])
    assert found.test == ("70001_spin_000012", "70001_spin_000013", "70001_spin_000015")
    assert len(found.train) == 2


GOOD = ["ball", "egg", "lens"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\r\n\r\n", "is empty"),
        (b"ball\negg\nball\n", "names 'ball' twice"),
        (b"ball\nBall\n", "no scan is called 'Ball'; the nearest is 'ball'"),
        (b"ball egg\n", "no scan is called 'ball egg'"),
        (b"ball\n\xff\xfe\n", "cannot be read"),
        (json.dumps({"scans": {"70001": {"spin": ["spin.000012"]}}}).encode(), "no scan is called"),
        (b'{"scans": {\n', "no scan is called"),
    ],
)
def test_bad_split_files_are_one_line(tmp_path, toy_store, content, message):
    path = tmp_path / "train.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        ScanData(str(toy_store), str(path), num_points=64)
    assert "\n" not in str(caught.value)
    if "twice" not in message:
        with pytest.raises(InputError):
            find_sources(raw_layout(tmp_path / "d"), read_lines(path))


@pytest.mark.parametrize("content", [b"ball\r\negg\r\nlens", b"\nball\n\n  egg \nlens\n\n"])
def test_blank_lines_and_line_ends_do_not_matter(tmp_path, toy_store, content):
    path = tmp_path / "train.txt"
    path.write_bytes(content)
    assert list(ScanData(str(toy_store), str(path), num_points=64).names) == GOOD


@pytest.mark.skipif(not LAYOUT.is_dir(), reason="no ../shared/data beside the checkout")
def test_shared_layout(toy_store):
    assert scan_names(LAYOUT) == [f"70001_spin_{f:06d}" for f in (12, 13, 15)]
    for path in sorted(LAYOUT.glob("split_*.json")):
        with pytest.raises(InputError, match="no scan is called"):
            find_sources(LAYOUT, read_lines(path))
        with pytest.raises(InputError, match="no scan is called"):
            ScanData(str(toy_store), str(path), num_points=64)
