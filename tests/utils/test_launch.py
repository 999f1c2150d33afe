"""Which process of many this is, from nothing but the environment."""

import pytest

from shapespace.errors import InputError
from shapespace.utils.launch import own_device, own_share, rank_and_world
from shapespace.utils.progress import progress

SRUN = {"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_STEP_ID": "0"}
TORCHRUN = {"RANK": "5", "WORLD_SIZE": "6"}


@pytest.fixture
def environ(monkeypatch):
    """Set the variables of a launcher, and those alone."""

    def fill(values):
        for name in (*SRUN, *TORCHRUN, "LOCAL_RANK", "SLURM_LOCALID"):
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return fill


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (0, 1)),
        (TORCHRUN, (5, 6)),
        (SRUN, (3, 8)),
        ({**SRUN, **TORCHRUN}, (5, 6)),
        ({"RANK": "5"}, (0, 1)),
        ({"RANK": "", "WORLD_SIZE": "", **SRUN}, (3, 8)),
        ({**SRUN, "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (0, 1)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, (0, 1)),
        ({**SRUN, "SLURM_PROCID": "0", "SLURM_STEP_ID": str(0xFFFFFFFA)}, (0, 1)),
        ({**SRUN, "SLURM_STEP_ID": "batch"}, (0, 1)),
    ],
    ids=str,
)
def test_rank_and_world(values, expected):
    assert rank_and_world(values) == expected


@pytest.mark.parametrize("values", [("6", "6"), ("-1", "6"), ("one", "6"), ("0", "0"), ("1", "²")])
def test_a_rank_that_cannot_be(values):
    given = dict(zip(TORCHRUN, values, strict=True))
    with pytest.raises(InputError, match=r"RANK=.* WORLD_SIZE=.*unset both"):
        rank_and_world(given)


@pytest.mark.parametrize(
    ("values", "num_gpus", "expected"),
    [
        ({}, 0, "cpu"),
        ({}, 4, "cuda"),
        (TORCHRUN, 0, "cpu"),
        ({**TORCHRUN, "LOCAL_RANK": "1"}, 4, "cuda:1"),
        ({**TORCHRUN, "LOCAL_RANK": "5"}, 4, "cuda:1"),
        (TORCHRUN, 4, "cuda:1"),
        ({**SRUN, "SLURM_LOCALID": "2"}, 4, "cuda:2"),
        ({**SRUN, "SLURM_LOCALID": "2"}, 1, "cuda:0"),
        ({**SRUN, "SLURM_LOCALID": "0", **TORCHRUN, "LOCAL_RANK": "3"}, 4, "cuda:3"),
    ],
)
def test_each_process_of_a_node_has_a_gpu(values, num_gpus, expected):
    assert own_device(values, num_gpus) == expected


def test_a_shard_counts_before_the_launcher(environ):
    environ(TORCHRUN)
    assert own_share(None) == (6, 6)
    assert own_share("2/8") == (2, 8)
    assert own_share("1/1") == (1, 1)
    for shard in ("0/3", "4/3", "1", "1/0", "a/b", "1/3/5", "\N{SUPERSCRIPT TWO}/3"):
        with pytest.raises(InputError, match=r"shard=.*give i/n"):
            own_share(shard)
    environ({})
    assert own_share(None) == (1, 1)


def test_one_process_shows_its_progress(environ):
    environ(TORCHRUN)
    assert progress(range(3)).disable
    environ({**TORCHRUN, "RANK": "0"})
    with progress(total=3) as bar:
        assert not bar.disable
    assert progress(range(3), shown=False).disable
