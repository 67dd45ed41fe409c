"""Atomic writes: whole or not at all, with the umask's mode, and nothing left behind."""

import errno
import hashlib
import os

import pytest

from sngan.utils.files import TEMPORARY, atomic_write, is_temporary, sha256, write_bytes


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_write_replaces_the_file_at_its_end(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with atomic_write(path) as fresh:
        fresh.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert is_temporary(fresh)
        assert fresh.parent == tmp_path
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.EIO, "x")])
def test_an_error_leaves_the_old_file_and_no_temporary(tmp_path, error):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def write():
        with atomic_write(path) as fresh:
            fresh.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_an_error_of_the_system_names_the_file_and_not_the_temporary(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(OSError, match="No space") as caught, atomic_write(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "none" / "a"):
        pass
    assert str(caught.value).endswith(f"{str(tmp_path / 'none' / 'a')!r}")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_the_mode_follows_the_umask_even_if_the_writer_makes_its_own_file(tmp_path, umask, mode):
    path = tmp_path / "a.bin"
    former = os.umask(umask)
    try:
        with atomic_write(path) as fresh:
            fresh.unlink()
            fresh.write_bytes(b"1")
            fresh.chmod(0o600)
    finally:
        os.umask(former)
    assert path.stat().st_mode & 0o777 == mode


def test_a_link_is_replaced_and_its_target_kept(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"theirs")
    link.symlink_to(target)
    write_bytes(link, b"ours")
    assert target.read_bytes() == b"theirs"
    assert not link.is_symlink()


def test_a_name_as_long_as_names_can_be(tmp_path):
    path = tmp_path / ("n" * 255)
    write_bytes(path, b"1")
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["a.tmp", f".0{TEMPORARY}", TEMPORARY, f"x{TEMPORARY}", ".tmp"])
def test_files_of_other_programs_are_no_temporaries(tmp_path, name):
    assert not is_temporary(tmp_path / name)


def test_the_hash_is_that_of_all_bytes(tmp_path):
    content = os.urandom(300_000)
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
