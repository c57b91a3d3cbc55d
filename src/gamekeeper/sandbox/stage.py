"""From a process of the caller's to a fork server inside the isolation: which layers to try, in which order.

A layer that the system refuses is left out and named with the reason; whether what is left is enough is for the caller
to say. Namespaces come together or not at all, tried out in a process that may fail: half an enclosure helps nobody.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gamekeeper.sandbox import enclosure, folder, frame, kernel, landlock, places, syscalls
else:
    import enclosure
    import folder
    import frame
    import kernel
    import landlock
    import places
    import syscalls

_FILES = 15  # where no file of a case will be put
SPACES = ("user", "mount", "pid", "network", "ipc")


class Closed(Exception):
    """The parent process has ended or closed its end, or the stream from it is no longer in step."""


class Stage:
    """What holds so far, and what was refused with the reason.

    base: an empty folder of the caller's. wanted: names of layers to try. packages: paths of packages to show.
    """

    def __init__(self, base: str, wanted: frozenset[str], packages: list[str]) -> None:
        self.base, self.wanted, self.packages = base, wanted, packages
        self.held: list[str] = []
        self.refused: dict[str, str] = {}
        nobody = frame.NOBODY + os.getpid()
        self.root = os.geteuid() == 0 and kernel.has_user(nobody)
        self.uid = nobody if self.root else os.geteuid()
        if not self.root:
            self.refused["other-user"] = "this user namespace has no other" if os.geteuid() == 0 else "for root only"
        self.has_proc = True
        self.size_file = self.children_file = self.files = -1

    @property
    def work(self) -> str:
        """The folder that holds the working folder of cases, and that they cannot write to if their user is another."""
        return enclosure.WORK if "mount-namespace" in self.held else f"{self.base}/work"

    def package_folder(self) -> str:
        """A folder that holds the allowed packages and nothing else."""
        if "mount-namespace" in self.held:
            return places.PACKAGES
        folder = f"{self.base}/packages"
        return folder if os.path.isdir(folder) else ""

    def try_layer(self, name: str, hold: Callable[[], object]) -> None:
        """Put a layer in place; it answers False or raises OSError where the system refuses."""
        if name not in self.wanted:
            self.refused[name] = "not asked for"
            return
        try:
            if hold() is not False:
                self.held.append(name)
            else:
                self.refused[name] = "the system refused"
        except (OSError, KeyError, AttributeError) as error:
            self.refused[name] = str(error)

    # Namespaces

    def spaces(self) -> frozenset[str]:
        return frozenset(s for s in SPACES if f"{s}-namespace" in self.wanted)

    def leave(self, spaces: frozenset[str]) -> None:
        """The part before the fork: leave the caller's namespaces."""
        enclosure.leave(spaces, with_user="user" in spaces and not self.root)

    def arrive(self, spaces: frozenset[str]) -> None:
        """The part after the fork, which may be in a process namespace by now. Raises OSError where refused."""
        if "mount" in spaces:
            owner = self.uid or enclosure.OVERFLOW_ID
            self.has_proc, files = enclosure.build(self.base, self.packages, owner)
            os.dup2(files, _FILES, inheritable=False)
            os.close(files)
            self.files = _FILES
        # Root has to become somebody else first, in a root of its own, and to tell the new namespace so through /proc.
        as_somebody_else = "other-user" in self.wanted and "mount" in spaces and self.has_proc
        own_user = "user" in spaces and (not self.root or as_somebody_else)
        if self.root and "other-user" in self.wanted:
            self._leave_root("mount" in spaces, own_user)
        if own_user:
            kernel.drop_capabilities()
        self.held += [f"{s}-namespace" for s in SPACES if s in spaces and (s != "user" or own_user)]

    def _leave_root(self, moved: bool, own_user: bool) -> None:
        if moved:
            enclosure.become_nobody(self.uid, own_user)
            self.held.append("other-user")
            return
        case = f"{self.work}/{folder.CASE}"
        os.mkdir(case, 0o700)
        os.chown(case, self.uid, self.uid)
        os.chmod(self.work, 0o755)
        os.chmod(self.base, 0o711)
        if kernel.leave_root(self.uid, os.__file__):
            self.held.append("other-user")
        else:
            os.chown(case, 0, 0)

    # Layers of the process

    def close(self) -> None:
        """The layers that need no namespace, the ones that forbid the putting up of others last."""
        kernel.die_with_parent()
        if os.geteuid() == 0 and "other-user" in self.wanted:
            kernel.drop_capabilities()  # root that cannot become somebody else keeps root's files, and no right
        self.folder = folder.CaseFolder(self.work)  # now: where writing is closed, it is for this process as well
        self.size_file, self.children_file = kernel.own_file("statm"), kernel.own_file(f"task/{os.getpid()}/children")
        self.try_layer("adopted-orphans", kernel.adopt_orphans)
        self.try_layer("no-new-privileges", kernel.no_new_privileges)
        if "hidden-server" not in self.wanted:
            kernel.show_memory()  # a change of user hides it as well
        self.try_layer("hidden-server", kernel.hide_memory)
        self.try_layer("landlock", lambda: landlock.enter(self._rules()))
        self.try_layer("seccomp", self._filter)
        self.folder.closed = "seccomp" in self.held and self._files_are_closed()

    def _rules(self) -> list[tuple[str | int, int]]:
        inside = "mount-namespace" in self.held
        rules: list[tuple[str | int, int]] = [
            (path, landlock.READ) for path in places.readable() if path != places.LIBRARY
        ]
        rules += [(path, landlock.READ) for path in places.entries(places.LIBRARY)]
        rules += [(places.LIBRARY, landlock.NAMES), *((path, landlock.DEVICE) for path in places.DEVICES)]
        rules += [(places.PACKAGES if inside else path, landlock.READ) for path in self.packages]
        # Without a file system of bounded size of its own, a program writes nowhere.
        rules.append((enclosure.CASE, landlock.WRITE) if inside else (self.base, landlock.READ))
        if self.files >= 0:
            rules.append((self.files, landlock.WRITE))
        return [*rules, ("/proc", landlock.READ)] if inside and "pid-namespace" in self.held else rules

    def _filter(self) -> None:
        machine = kernel.machine()
        if not syscalls.known(machine):
            raise OSError(f"no table of system calls for {machine}")
        foreign, nameless = self._files_are_closed(), self.files >= 0
        kernel.install_filter(syscalls.server_filter(machine, closed_files=foreign, closed_memory=nameless))

    def _files_are_closed(self) -> bool:
        """Whether foreign files have names here and Landlock lets nobody write to any."""
        return "landlock" in self.held and "mount-namespace" not in self.held


if TYPE_CHECKING:
    from collections.abc import Callable
