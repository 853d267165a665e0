"""Files are written whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from trunkline import files
from trunkline.errors import InputError
from trunkline.files import check_writable, replacing, same_file, write_json


def test_a_document_replaces_the_old_one(tmp_path: Path) -> None:
    """The new content is there, nothing else is left in the folder, and permissions stay."""
    path = tmp_path / "x.json"
    path.write_text("old")
    path.chmod(0o640)
    write_json(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["x.json"]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    """As the umask says, also where the writer makes a private file, as safetensors does."""
    (tmp_path / "usual").write_text("")
    write_json(tmp_path / "x.json", [])
    with replacing(tmp_path / "x.bin") as temporary:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    for name in ("x.json", "x.bin"):
        assert (tmp_path / name).stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_was_there_survives_a_failure(tmp_path: Path, failure: BaseException) -> None:
    """A full disk or an interrupt while writing: the old file is whole, and no rest stays."""
    path = tmp_path / "x.json"
    path.write_text("old")

    def half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise failure

    with pytest.raises((InputError, KeyboardInterrupt)) as raised:
        half()
    if isinstance(failure, OSError):
        assert str(raised.value) == f"{path}: cannot be written: No space left on device"
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_device_that_is_full(tmp_path: Path) -> None:
    """What the system says when it writes reaches the user, and the device stays a device."""
    with pytest.raises(InputError, match="/dev/full: cannot be written: No space left"):
        write_json("/dev/full", {"a": 1})
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_content_reaches_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary file is synced before it takes the name, and its folder after that."""
    path, seen = tmp_path / "x.json", []
    monkeypatch.setattr(files, "_sync", lambda synced: seen.append((synced, path.exists())))
    write_json(path, {})
    (first, named), last = seen
    assert first.parent == tmp_path
    assert first != path
    assert not named
    assert last == (tmp_path, True)


def test_links_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    """A symbolic link still leads to its target, which has what is new; a pipe is written to."""
    (tmp_path / "link.json").symlink_to("target.json")
    (tmp_path / "target.json").write_text("old")
    write_json(tmp_path / "link.json", 3)
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "target.json").read_text() == "3\n"
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_json(tmp_path / "pipe", 4)
    assert os.read(reader, 9) == b"4\n"
    os.close(reader)
    check_writable("/dev/null")
    write_json("/dev/null", 5)
    assert not Path("/dev/null").is_file()


def test_an_open_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """`-o /dev/stdout > file` writes where standard output goes, also where that is a file."""
    with (tmp_path / "out").open("w+") as out:
        before = os.fstat(out.fileno()).st_ino
        write_json(f"/dev/fd/{out.fileno()}", 6)
        assert (tmp_path / "out").stat().st_ino == before
    assert (tmp_path / "out").read_text() == "6\n"


def test_unwritable_places_are_known_beforehand(tmp_path: Path) -> None:
    """A folder, a missing folder, a file as a folder, an endless name: each says so at once, and
    in the same words when it is written anyway."""
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for path, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "no" / "x", f"there is no folder {tmp_path / 'no'}"),
        (tmp_path / "file" / "x", ""),
        (tmp_path / ("x" * 300), "name too long"),
        (tmp_path / "loop", ""),
    ):
        with pytest.raises(InputError, match=f"{path}: cannot be written: .*{reason}"):
            check_writable(path)
        with pytest.raises(InputError, match=f"{path}: cannot be written"):
            write_json(path, {})
    check_writable(tmp_path / "new")
    check_writable(tmp_path / "file")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "loop"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_protected_places_are_known_beforehand(tmp_path: Path) -> None:
    """A folder or a file that may not be written."""
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o444)
    with pytest.raises(InputError, match="protected"):
        check_writable(tmp_path / "file")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(InputError, match="permission"):
            check_writable(tmp_path / "new")
    finally:
        tmp_path.chmod(0o755)


def test_one_file_by_two_names(tmp_path: Path) -> None:
    """Links and other spellings are the same file; another name is another."""
    (tmp_path / "a").write_text("")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").hardlink_to(tmp_path / "a")
    assert same_file(tmp_path / "a", tmp_path / "b")
    assert same_file(tmp_path / "a", tmp_path / "c")
    assert same_file(tmp_path / "new", tmp_path / "x" / ".." / "new")
    assert not same_file(tmp_path / "a", tmp_path / "new")
