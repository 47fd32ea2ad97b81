"""What a guest is made of: Debian's packages, got with the system's own apt and unpacked, never installed."""

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from renova.guests.programs import GuestError, run

KERNEL = "linux-image-cloud-amd64"
# grub-mkimage needs libdevmapper, which a small system may lack; dpkg itself needs its other libraries.
OTHERS = ("busybox-static", "grub-common", "grub-pc-bin", "libdevmapper1.02.1")
# An SSH server of 250 kB, and the libraries that it needs where nothing else is.
SSH = ("dropbear-bin", "libc6", "libcrypt1", "libgmp10", "libtomcrypt1", "libtommath1", "zlib1g")


def default_directory() -> Path:
    """Where this user's packages of guests lie, shared by the demo and the tests."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "renova" / "guests"


def fetch(packages_dir: Path) -> Path:
    """The directory with the unpacked packages (130 MB), which are downloaded (31 MB) if it isn't there.

    See `_fetch`.
    """
    return _fetch(packages_dir, "tree", lambda: [_newest_kernel(), *OTHERS])


def fetch_ssh(packages_dir: Path) -> Path:
    """The same of SSH: 15 MB, 4 MB to download."""
    return _fetch(packages_dir, "ssh", lambda: SSH)


def _fetch(packages_dir: Path, name: str, packages: Callable[[], Sequence[str]]) -> Path:
    """The tree of this name in `packages_dir`.

    Any number of processes may ask at once. What is there is used for ever: remove `packages_dir` to get
    newer packages. Raises GuestError where apt can't deliver.
    """
    tree = packages_dir / name
    packages_dir.mkdir(parents=True, exist_ok=True)
    with (packages_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            with tempfile.TemporaryDirectory(dir=packages_dir, prefix="unpacking-") as directory:
                work = Path(directory)
                _download(work, packages())
                for package in work.glob("*.deb"):
                    run("dpkg-deb", "-x", package, work / "tree")
                (work / "tree").rename(tree)
    return tree


def _download(directory: Path, packages: Sequence[str]) -> None:
    try:
        run("apt-get", "--quiet", "download", *packages, cwd=directory)
    except GuestError as failed:
        raise GuestError(
            f"the packages of a guest can't be had: {failed.message}; "
            "they are in Debian 12, and `apt-get update` may help"
        ) from None


def _newest_kernel() -> str:
    """The package that is always called the same is empty: it depends on the newest kernel."""
    about = run("apt-cache", "show", "--no-all-versions", KERNEL)
    depends = re.search(r"^Depends: (\S+)", about, re.MULTILINE)
    if depends is None:
        raise GuestError(f"{KERNEL} names no kernel")
    return depends[1]
