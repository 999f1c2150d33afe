"""A file is there whole or not at all."""

import pytest

from shapespace.errors import InputError
from shapespace.utils.files import alone, output_folder, read_lines, remove_leftovers, replacing


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
