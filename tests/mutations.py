"""Damage by seed: single bits, bytes and blocks of a file changed, cut or repeated."""

import numpy as np

EXTREME = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)
"""Numbers that counts, sizes and offsets are replaced by."""


def mutated(content, seed):
    """``content`` with one to three faults that depend on ``seed`` alone."""
    rng = np.random.default_rng(seed)
    for _ in range(rng.choice([1, 1, 2, 3])):
        content = FAULTS[rng.integers(len(FAULTS))](bytearray(content), rng)
    return bytes(content)


def _flip(content, rng):
    if content:
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    return content


def _byte(content, rng):
    if content:
        content[rng.integers(len(content))] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
    return content


def _number(content, rng):
    size = int(rng.choice([1, 2, 4, 8]))
    at = int(rng.integers(max(1, len(content) - size)))
    value = int(rng.choice(np.array(EXTREME, np.uint64))) % 256**size
    content[at : at + size] = value.to_bytes(size, str(rng.choice(["little", "big"])))
    return content


def _block(content, rng):
    at, size = int(rng.integers(len(content) + 1)), int(rng.integers(1, 65))
    content[at : at + size] = rng.bytes(len(content[at : at + size]))
    return content


def _cut(content, rng):
    return content[: int(rng.integers(len(content) + 1))]


def _remove(content, rng):
    at, size = int(rng.integers(len(content) + 1)), int(rng.integers(1, 33))
    del content[at : at + size]
    return content


def _repeat(content, rng):
    at, size = int(rng.integers(len(content) + 1)), int(rng.integers(1, 65))
    to = int(rng.integers(len(content) + 1))
    content[to:to] = content[at : at + size]
    return content


def _word(content, rng):
    """Another number in text, for formats that are text."""
    words = [b"nan", b"-1", b"1e999", b"99999999999", b"0", b"\x00", b"\xff\xfe", b"1" * 5000]
    at, size = int(rng.integers(len(content) + 1)), int(rng.integers(6))
    content[at : at + size] = words[rng.integers(len(words))]
    return content


FAULTS = (_flip, _flip, _byte, _byte, _number, _number, _block, _cut, _remove, _repeat, _word)
