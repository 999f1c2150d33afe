from pathlib import Path

import numpy as np
import pytest
import trimesh

from shapespace.data.sources import find_sources
from shapespace.errors import InputError
from shapespace.synthetic.dataset import SUBJECTS, Identity, plan_dataset, write_dataset

pytest.importorskip("embreex", reason="rays are cast by embreex")
SMALL = {"subjects": SUBJECTS[:1], "motions": ("knees", "hips"), "frames": 1, "resolution": 0.03}


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_default_plan():
    dataset = plan_dataset("somewhere")
    assert (len(dataset.train), len(dataset.unseen)) == (40, 8)
    sequences = [
        {s.name.rpartition("_")[0] for s in part} for part in (dataset.train, dataset.unseen)
    ]
    assert not sequences[0] & sequences[1]
    assert {s.identity.name for s in dataset.unseen} == {s.identity.name for s in dataset.train}
    assert {s.sequence for s in dataset.unseen} <= {s.sequence for s in dataset.train}


def test_no_frame_comes_twice():
    dataset = plan_dataset("somewhere", SUBJECTS[:1], ("hips",), 120)
    assert sorted(scan.frame for scan in dataset.train) == list(range(120))


def test_one_motion_has_nothing_unseen():
    dataset = plan_dataset("somewhere", SUBJECTS[:2], ("hips",), 3)
    assert (len(dataset.train), len(dataset.unseen)) == (6, 0)


def test_layout_and_names(tmp_path):
    dataset = write_dataset(tmp_path, **SMALL)
    assert dataset.made == 2
    names = [(tmp_path / f"{split}.txt").read_text().split() for split in ("train", "unseen")]
    assert [len(part) for part in names] == [1, 1]
    found = [source.name for source in find_sources(tmp_path / "scans")]
    assert sorted(names[0] + names[1]) == found
    for scan in dataset.train + dataset.unseen:
        raw = trimesh.load_mesh(tmp_path / scan.scan_path, process=False)
        surface = trimesh.load_mesh(tmp_path / scan.surface_path, process=False)
        assert surface.is_watertight and not raw.is_watertight
        assert np.abs(raw.bounds - surface.bounds).max() < 0.06


def test_a_stopped_run_resumes(tmp_path):
    dataset = write_dataset(tmp_path / "a", **SMALL)
    before = files(tmp_path / "a")
    (tmp_path / "a" / dataset.train[0].scan_path).unlink()
    assert write_dataset(tmp_path / "a", **SMALL).made == 1
    assert files(tmp_path / "a") == before
    assert write_dataset(tmp_path / "a", **SMALL).made == 0


def test_seeds_change_scans_and_not_surfaces(tmp_path):
    one, two = (files(write_dataset(tmp_path / str(s), **SMALL, seed=s).folder) for s in (0, 1))
    same = {path.parts[0] for path in one if one[path] == two[path]}
    assert same == {"surfaces", "train.txt", "unseen.txt"}


def test_workers_change_nothing(tmp_path):
    one = write_dataset(tmp_path / "one", **SMALL)
    two = write_dataset(tmp_path / "two", **SMALL, workers=2)
    assert files(one.folder) == files(two.folder) and two.made == 2


def test_a_folder_of_another_data_set_is_refused(tmp_path):
    write_dataset(tmp_path, **SMALL)
    with pytest.raises(InputError, match="made from other"):
        write_dataset(tmp_path, **SMALL, seed=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"motions": ("swimming",)}, "motion 'swimming'"),
        ({"motions": ()}, "motions"),
        ({"subjects": SUBJECTS[:1] * 2}, "90001"),
        ({"frames": 0}, "frames 0"),
        ({"frames": 121}, "frames 121"),
    ],
    ids=str,
)
def test_bad_input(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_dataset(tmp_path, **{**SMALL, **change})
    assert not list(tmp_path.iterdir())


def test_people_of_ones_own(tmp_path):
    someone = Identity("12345", "f", 1.71, belly=0.6)
    dataset = plan_dataset(tmp_path, [someone], ("hips",), 1)
    assert dataset.train[0].name == "12345_hips_000000"


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_split_files_of_the_default_set(split):
    file = Path(__file__).resolve().parents[2] / "datasets" / "bodies" / f"{split}.txt"
    names = sorted(scan.name for scan in getattr(plan_dataset("somewhere"), split))
    assert file.read_text().splitlines() == names
