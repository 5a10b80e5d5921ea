"""Which file system a folder lies on."""

from __future__ import annotations

from pathlib import Path

import pytest

from wavecrew.core.file_system import NETWORK, file_system_of, is_network


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    table = tmp_path / "mounts"
    space = str(tmp_path / "a b").replace(" ", "\\040")
    table.write_text(
        f"/dev/root / ext4 rw 0 0\nserver:/x {tmp_path}/net nfs4 rw 0 0\ntmpfs {tmp_path}/net/local tmpfs rw 0 0\n"
        f"host: {space} fuse.sshfs rw 0 0\nbroken line\n\n",
        encoding="utf-8",
    )
    return table


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("", "ext4"),
        ("net", "nfs4"),
        ("net/deep/er", "nfs4"),
        ("net/local/x", "tmpfs"),
        ("network", "ext4"),
        ("a b/c", "fuse.sshfs"),
    ],
)
def test_the_longest_mount_point_decides(tmp_path: Path, mounts: Path, folder: str, kind: str) -> None:
    assert file_system_of(tmp_path / folder, mounts) == kind
    assert is_network(tmp_path / folder, mounts) == (kind in NETWORK)


def test_without_a_mount_table_nothing_is_claimed(tmp_path: Path) -> None:
    assert file_system_of(tmp_path, tmp_path / "none") == ""
    assert not is_network(tmp_path, tmp_path / "none")
