"""A store with distances, for methods that need them."""

import dataclasses

import numpy as np
import pytest

from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.scan import Targets


@pytest.fixture(scope="session")
def with_targets(toy_store, tmp_path_factory):
    """The toy store with signed distances to the unit ball, which is near enough to its scans."""
    path = tmp_path_factory.mktemp("targets") / "targets.hdf5"
    store = ScanStore(toy_store)
    rng = np.random.default_rng(0)
    with StoreWriter(path, "m", 3) as writer:
        for name in store.names:
            points = rng.normal(size=(200, 3)).astype(np.float32)
            distance = np.linalg.norm(points, axis=1) - np.float32(1)
            scan = dataclasses.replace(store.scan(name), targets=Targets(points, distance, True))
            writer.add(scan)
    return path
