"""A file is there whole or not at all."""

import os

import pytest

from shapespace.errors import DiskError, InputError
from shapespace.utils.files import (
    alone,
    find_inside,
    folder_inside,
    output_folder,
    path_inside,
    read_inside,
    read_lines,
    remove_leftovers,
    replacing,
)


def test_replacing_makes_folders_and_leaves_only_the_file(tmp_path):
    path = tmp_path / "a" / "b.txt"
    with replacing(path) as part:
        assert (part.parent, part.suffix) == (path.parent, ".txt")
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "b.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as part:
        part.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_disk_is_one_line_with_the_name(tmp_path):
    path = tmp_path / "b.txt"
    with pytest.raises(InputError, match=r"b\.txt: cannot be written \(No space left"):  # noqa: SIM117
        with replacing(path) as part:
            part.write_text("half")
            raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "inner"])
def test_a_file_is_no_output_folder(tmp_path, below):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(InputError, match=r"file.*cannot be an output folder"):
        output_folder(path / below)
    with (
        pytest.raises(InputError, match=r"file.*cannot be an output folder"),
        replacing(path / "x"),
    ):
        pytest.fail("the block is not entered")


def test_an_output_folder_is_made_and_may_exist(tmp_path):
    path = tmp_path / "a" / "b"
    assert output_folder(path) == path and path.is_dir()
    assert output_folder(str(path)) == path


def test_read_lines(tmp_path):
    path = tmp_path / "split.txt"
    path.write_text("a\n\n  b c \r\n")
    assert read_lines(path) == ["a", "b c"]
    path.write_text(" \n\n")
    with pytest.raises(InputError, match=r"split\.txt: is empty"):
        read_lines(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"split\.txt: cannot be read"):
        read_lines(path)
    with pytest.raises(InputError, match=r"none\.txt: cannot be read"):
        read_lines(tmp_path / "none.txt")


def test_leftovers_are_those_of_this_file_alone(tmp_path):
    gone, kept = ".s.12.part.hdf5", [".s.1-of-2.12.part.hdf5", ".s.12.part.ply", ".ss.12.part.hdf5"]
    for name in (gone, "s.hdf5", *kept):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path / "s.hdf5")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["s.hdf5", *kept])


def test_one_holds_a_lock_until_the_block_ends(tmp_path):
    lock = tmp_path / "in" / "lock"
    with (
        alone(lock, "it is busy"),
        pytest.raises(InputError, match="it is busy"),
        alone(lock, "it is busy"),
    ):
        pass
    with alone(lock):
        pass


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / "names.txt").write_bytes("\ufeffa\r\n\r\n b \r\n".encode())
    assert read_lines(tmp_path / "names.txt") == ["a", "b"]


def test_a_full_disk_is_another_error_than_a_name_that_is_too_long(tmp_path):
    with pytest.raises(DiskError, match="No space left"), replacing(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    with pytest.raises(InputError) as caught, replacing(tmp_path / ("x" * 250)) as part:
        part.write_text("")
    assert not isinstance(caught.value, DiskError)


def test_a_link_is_replaced_and_its_target_stays(tmp_path):
    target = tmp_path / "target"
    target.write_text("old")
    path = tmp_path / "in" / "b.txt"
    path.parent.mkdir()
    for link in (path, path.with_name(f".b.{os.getpid()}.part.txt")):
        link.symlink_to(target)
    with replacing(path) as part:
        part.write_text("new")
    assert (target.read_text(), path.read_text()) == ("old", "new")
    assert not path.is_symlink() and list(path.parent.iterdir()) == [path]


def test_only_regular_files_below_a_folder_are_read(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside / "a", outside):
        folder.mkdir(parents=True)
        (folder / "b").write_text("text")
    (inside / "link").symlink_to(outside / "b")
    (inside / "folder").symlink_to(outside)
    os.mkfifo(inside / "fifo")
    assert read_inside(inside, "a", "b") == b"text"
    assert find_inside(inside, "a", "b") == inside / "a" / "b"
    assert read_inside(inside, "a", "c") is read_inside(inside, "c", "b") is None
    linked = tmp_path / "linked"
    linked.symlink_to(inside)
    assert read_inside(linked, "a", "b") == b"text"
    refused = {
        "is a symbolic link": [("link",), ("folder", "b")],
        "no regular file": [("fifo",), ("a",)],
        "cannot name a file": [("..", "out", "b"), ("../out/b",), ("a/b",), (str(outside / "b"),)],
        "too long": [("x" * 300,)],
    }
    for reason, cases in refused.items():
        for parts in cases:
            for read in (read_inside, find_inside):
                with pytest.raises(InputError, match=reason):
                    read(inside, *parts)
    with pytest.raises(InputError, match="larger than 3 bytes"):
        read_inside(inside, "a", "b", most=3)


def test_nothing_is_written_outside_of_a_folder(tmp_path):
    assert path_inside(tmp_path, "a b.c", ".ply") == tmp_path / "a b.c.ply"
    for name in ("", ".", "..", "../a", "a/b", "/a", "a\nb", "a\0", "\u202ea", "x" * 1001):
        with pytest.raises(InputError, match="cannot name a file in"):
            path_inside(tmp_path, name, ".ply")
    assert folder_inside(tmp_path, "new").is_dir()
    (tmp_path / "link").symlink_to(tmp_path / "new")
    with pytest.raises(InputError, match="is a symbolic link"):
        folder_inside(tmp_path, "link")
