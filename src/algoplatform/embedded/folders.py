"""Files and folders that root shares with the server's user, who may own the folder that they are in.

That user can put a link, a FIFO or a file of its own in any place, at any time. So nothing here is done by a path: each
step starts from an open folder, follows no link, and checks what it has opened.
"""

import errno
import os
import pwd
import shutil
import stat
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Self

# Linux's, as the embedded server is; elsewhere this module need only be importable.
_PATH: Final = getattr(os, "O_PATH", 0)
_PLACE: Final = _PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_LINKS: Final = 40
_TRIES: Final = 10
_MAX_TEXT: Final = 64 * 1024


class Folder:
    """An open folder: whatever is renamed or linked meanwhile, it stays the same one."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def at(cls, path: Path) -> "Folder":
        """Open a folder and make it where it is missing; as root, past links that root made but past no other's."""
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
        """A path that leads to this folder and no other, in this process."""
        return Path(f"/proc/self/fd/{self.descriptor}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def state(self, name: str) -> os.stat_result | None:
        """Give the state of an entry, a link's own; None where there is no such entry."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def own_file(self, name: str) -> int:
        """Open a file that only this process's user can open; give its descriptor, for appending.

        Root replaces a file of another user's, or with another name, which that user may hold open.
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
        """Open a folder that only its owner can enter, made where it is missing; as root it is given to a user."""
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
        """Open a folder in this one."""
        return Folder(os.open(name, _FOLDER, dir_fd=self.descriptor))

    def read(self, name: str) -> str:
        """Read a short file. A FIFO would keep the reader waiting; it reads as empty."""
        descriptor = os.open(name, os.O_RDONLY | _FILE, dir_fd=self.descriptor)
        with os.fdopen(descriptor, "rb") as file:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return file.read(_MAX_TEXT).decode(errors="replace") if regular else ""

    def remove(self, name: str) -> None:
        """Remove a file, a link or a folder with all that is in it; nothing where there is none."""
        try:
            os.unlink(name, dir_fd=self.descriptor)
        except FileNotFoundError:
            pass
        except OSError:
            shutil.rmtree(name, dir_fd=self.descriptor)

    def rename(self, name: str, new: str) -> None:
        """Give an entry another name."""
        os.rename(name, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)


def _link(place: int, name: str) -> Path | None:
    """Give where a link leads, None where the entry is none; root refuses to go where another user leads."""
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
