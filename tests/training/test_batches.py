"""Every scan as often as asked, by any number of ranks, from any place."""

import pytest
import torch

from shapespace.scan import Scan
from shapespace.training import batches as module
from shapespace.training.batches import Batch, Steps, dealt


@pytest.fixture
def of_ranks(monkeypatch):
    """The steps of an epoch of all ranks: for each step, those of each rank."""

    def deal(ranks, epoch=0, **options):
        dealt = []
        for rank in range(ranks):
            monkeypatch.setattr(module, "world", lambda rank=rank: (rank, ranks))
            own = Steps(**options)
            own.set_epoch(epoch)
            dealt.append(list(own))
            if not options.get("visits"):
                assert len(own) == len(dealt[-1])
        return list(zip(*dealt, strict=True))

    return deal


def counted(steps):
    """Visits that count in each step of all ranks, in order of their numbers."""
    return [
        sorted(
            (
                visit
                for part in step
                for visit, w in zip(part.visits, part.weights, strict=True)
                if w
            ),
            key=lambda visit: visit[1],
        )
        for step in steps
    ]


@pytest.mark.parametrize("num_scans", [1, 2, 5, 7, 8])
@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("repeats", [1, 3])
def test_ranks_do_what_one_process_does_on_the_union(num_scans, ranks, repeats, of_ranks):
    options = {"num_scans": num_scans, "repeats": repeats, "seed": 3}
    alone = of_ranks(1, 2, batch_size=2 * ranks, **options)
    shared = of_ranks(ranks, 2, batch_size=2, **options)
    assert counted(alone) == counted(shared)
    for step in shared:
        assert len({len(part.visits) for part in step}) == 1
        assert sum(sum(part.weights) for part in step) == pytest.approx(1)
        assert {part.num_scans for part in step} == {sum(w > 0 for p in step for w in p.weights)}
        assert len({part.end for part in step}) == 1
    numbers = [number for step in counted(shared) for _, number in step]
    assert numbers == list(range(2 * num_scans * repeats, 3 * num_scans * repeats))
    scans = [scan for step in counted(shared) for scan, _ in step]
    assert sorted(scans) == sorted(list(range(num_scans)) * repeats)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_an_epoch_goes_on_from_any_place(ranks, of_ranks):
    options = {"num_scans": 5, "batch_size": 1, "repeats": 2, "seed": 1}
    whole = [visit for step in counted(of_ranks(1, 4, **options)) for visit in step]
    for done in range(10):
        steps = of_ranks(ranks, 4, visits=40 + done, **options)
        assert [visit for step in counted(steps) for visit in step] == whole[done:]
        assert steps[-1][0].end == 50
        assert len(steps) == -(-(10 - done) // ranks)
    later = of_ranks(ranks, 5, visits=47, **options)
    assert len(counted(later)) == len(of_ranks(ranks, 5, **options))


def test_a_last_step_is_left_out_only_if_asked(of_ranks):
    options = {"num_scans": 7, "batch_size": 3, "drop_last": True}
    steps = of_ranks(2, **options)
    assert [sorted(part.num_scans for part in step) for step in steps] == [[6, 6]]
    assert steps[-1][0].end == 7
    assert len(of_ranks(2, num_scans=7, batch_size=3)) == 2


def test_an_order_is_new_each_epoch_or_never():
    def order(epoch, shuffle):
        steps = Steps(8, 8, shuffle=shuffle)
        steps.set_epoch(epoch)
        return [index for step in steps for index, _ in step.visits]

    assert order(0, False) == order(1, False) == list(range(8))
    assert order(0, True) != order(1, True) and order(1, True) == order(1, True)


def batch(rows):
    points = torch.tensor(rows, dtype=torch.float32)[:, None, None].expand(-1, 4, 3).clone()
    sigma = torch.ones(len(rows), 4)
    scan = Scan(torch.tensor(rows), points, points, sigma)
    return Batch(scan, dealt([(row, row) for row in rows], 9))


def test_others_stand_for_excluded_scans_and_count_for_nothing():
    whole = batch([3, 1, 4])
    assert whole.without({7}) is whole
    left = whole.without({1})
    assert left.scan.index.tolist() == [3, 3, 4]
    assert left.scan.points[:, 0, 0].tolist() == [3, 3, 4]
    assert left.step.weights == pytest.approx((1 / 3, 0, 1 / 3))
    none = whole.without({1, 3, 4})
    assert not none.scan.points.any() and none.step.weights == (0, 0, 0)
    assert none.scan.index.tolist() == [3, 1, 4]
    assert whole.only(2).scan.index.tolist() == [4] and whole.only(2).step.visits == ((4, 4),)
