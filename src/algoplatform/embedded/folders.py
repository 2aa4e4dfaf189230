"""Safe access to files and folders in a folder that may belong to an unprivileged user.

The server's user can put a symbolic link, a FIFO or a file anywhere in its folder, at any time. So root opens
nothing by path: each step starts at the file descriptor of a folder, follows no link, and checks what it has
opened.
"""

import errno
import os
import pwd
import shutil
import stat
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Self

# Only Linux has O_PATH and runs the embedded server; elsewhere this module need only be importable.
_PATH: Final = getattr(os, "O_PATH", 0)
_PLACE: Final = _PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_LINKS: Final = 40
_TRIES: Final = 10
_MAX_TEXT: Final = 64 * 1024


class Folder:
    """An open folder: its file descriptor stays valid when its path is renamed or replaced by a link."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def at(cls, path: Path) -> "Folder":
        """Open a folder, creating missing parts of its path; root follows only links that belong to root."""
        place, parts, links = os.open("/", _PLACE), list(reversed(path.parts[1:])), 0
        while parts:
            part = parts.pop()
            link = _link(place, part)
            if link is None:
                place = _enter(place, part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if link.is_absolute():
                os.close(place)
                place = os.open("/", _PLACE)
            parts += reversed([name for name in link.parts if name != "/"])
        return cls(place)

    @property
    def path(self) -> Path:
        """A path to this open folder, valid in this process only."""
        return Path(f"/proc/self/fd/{self.descriptor}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def state(self, name: str) -> os.stat_result | None:
        """Return the stat of an entry, without following a link; None if there is no such entry."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def own_file(self, name: str) -> int:
        """Open a file with mode 0600 for appending, and return its file descriptor.

        Root replaces a file that belongs to another user or has a hard link, as that user may hold it open.
        """
        for _ in range(_TRIES):
            descriptor = os.open(name, os.O_RDWR | os.O_APPEND | os.O_CREAT | _FILE, 0o600, dir_fd=self.descriptor)
            if os.geteuid() != 0 or _is_roots(os.fstat(descriptor)):
                os.fchmod(descriptor, 0o600)
                return descriptor
            os.close(descriptor)
            self.remove(name)
        raise OSError(errno.EPERM, f"{name} is another user's")

    def own_folder(self, name: str, user: pwd.struct_passwd | None = None) -> "Folder":
        """Open a folder with mode 0700, created if missing; as root, give it to the user."""
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=self.descriptor)
        with ExitStack() as stack:
            folder = stack.enter_context(self.folder(name))
            if user:
                os.fchown(folder.descriptor, user.pw_uid, user.pw_gid)
            elif os.fstat(folder.descriptor).st_uid != os.geteuid():
                raise OSError(errno.EPERM, f"{name} is another user's")
            os.fchmod(folder.descriptor, 0o700)
            stack.pop_all()
            return folder

    def folder(self, name: str) -> "Folder":
        return Folder(os.open(name, _FOLDER, dir_fd=self.descriptor))

    def read(self, name: str) -> str:
        """Return up to 64 KiB of a text file; "" for anything but a regular file, as a FIFO would block."""
        descriptor = os.open(name, os.O_RDONLY | _FILE, dir_fd=self.descriptor)
        with os.fdopen(descriptor, "rb") as file:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return file.read(_MAX_TEXT).decode(errors="replace") if regular else ""

    def remove(self, name: str) -> None:
        """Remove a file, a link, or a folder with its contents; no-op if there is none."""
        try:
            os.unlink(name, dir_fd=self.descriptor)
        except FileNotFoundError:
            pass
        except OSError:
            shutil.rmtree(name, dir_fd=self.descriptor)

    def rename(self, name: str, new: str) -> None:
        os.rename(name, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)


def _link(place: int, name: str) -> Path | None:
    """Return the target of a link, None if the entry is not one; root rejects links of other users."""
    try:
        state = os.stat(name, dir_fd=place, follow_symlinks=False)
        if not stat.S_ISLNK(state.st_mode):
            return None
        target = Path(os.readlink(name, dir_fd=place))
    except FileNotFoundError:
        return None
    if os.geteuid() == 0 and state.st_uid != 0:
        raise OSError(errno.EPERM, f"{name} is a link of another user's")
    return target


def _enter(place: int, name: str) -> int:
    try:
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=place)
        return os.open(name, _PLACE, dir_fd=place)
    finally:
        os.close(place)


def _is_roots(state: os.stat_result) -> bool:
    return stat.S_ISREG(state.st_mode) and state.st_uid == 0 and state.st_nlink == 1
