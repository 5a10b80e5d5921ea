"""Who may look: a random token in a file of the user, and the cookie that stands for it in a browser.

What it does: makes the token or takes the one that is there, so that open pages go on after a restart; compares in
constant time. The token itself never stands in a query, a cookie or a log.
What it does not know: requests, and what is shown to whom.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = "web"
_LENGTH: Final = 43  # 32 random bytes in letters that a link can hold


@dataclass(frozen=True, slots=True)
class Entry:
    """What opens the page of one workspace."""

    token: str

    def is_token(self, text: str) -> bool:
        """Whether somebody has the token."""
        return hmac.compare_digest(text.encode(errors="replace"), self.token.encode())

    @property
    def cookie(self) -> str:
        """What a browser keeps in place of the token."""
        return hmac.new(self.token.encode(), b"cookie", hashlib.sha256).hexdigest()

    def is_cookie(self, text: str) -> bool:
        """Whether a cookie is ours."""
        return hmac.compare_digest(text.encode(errors="replace"), self.cookie.encode())


def token_file(state_folder: Path) -> Path:
    """Where the token of a workspace is kept."""
    return state_folder / FOLDER / "token"


def entry_of(state_folder: Path, *, anew: bool = False) -> Entry:
    """The entry of a workspace. A token file that is a link, somebody else's, open to others or not whole is replaced.
    Where nothing can be written, the token lives as long as this process."""
    path = token_file(state_folder)
    found = None if anew else _read(path)
    if found is not None:
        return Entry(found)
    token = secrets.token_urlsafe(32)
    with contextlib.suppress(OSError):
        _write(path, token)
    return Entry(token)


def _read(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
            return None
        text = os.read(descriptor, 200).decode("ascii", errors="replace").strip()
    finally:
        os.close(descriptor)
    return text if len(text) == _LENGTH and text.replace("-", "").replace("_", "").isalnum() else None


def _write(path: Path, token: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = path.with_name(f"token.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
    new.replace(path)
