"""What a guest is made of: Debian's packages, got with the system's own apt and unpacked, never installed."""

import fcntl
import os
import re
import tempfile
from pathlib import Path

from renova.guests.programs import GuestError, run

KERNEL = "linux-image-cloud-amd64"
# grub-mkimage needs libdevmapper, which a small system may lack; dpkg itself needs its other libraries.
OTHERS = ("busybox-static", "grub-common", "grub-pc-bin", "libdevmapper1.02.1")


def default_directory() -> Path:
    """Where this user's packages of guests lie, shared by the demo and the tests."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "renova" / "guests"


def fetch(packages_dir: Path) -> Path:
    """The directory with the unpacked packages (130 MB), which are downloaded (31 MB) if it isn't there.

    Any number of processes may ask at once. What is there is used for ever: remove `packages_dir` to get
    newer packages. Raises GuestError where apt can't deliver.
    """
    tree = packages_dir / "tree"
    packages_dir.mkdir(parents=True, exist_ok=True)
    with (packages_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            with tempfile.TemporaryDirectory(dir=packages_dir, prefix="unpacking-") as directory:
                work = Path(directory)
                _download(work)
                for package in work.glob("*.deb"):
                    run("dpkg-deb", "-x", package, work / "tree")
                (work / "tree").rename(tree)
    return tree


def _download(directory: Path) -> None:
    try:
        run("apt-get", "--quiet", "download", _newest_kernel(), *OTHERS, cwd=directory)
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
