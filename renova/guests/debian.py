"""Builds images of Debian 12 with cloud-init, sshd and the guest agent, for `make guest`: slow and real.

mmdebstrap makes the tree from Debian's archive, as root; `debian-root/` is our part of it. The root file
system grows with the disk, the console is the serial port.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from renova.guests import boot_disk
from renova.guests.packages import fetch
from renova.guests.programs import GuestError, run

SUITE = "bookworm"
SIZE = 1 << 30
# What a login in a cloud takes, and what Debian recommends to have it boot at all.
_PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "udev", "dbus", "iproute2", "e2fsprogs"),
    *("cloud-init", "cloud-guest-utils", "fdisk", "openssh-server", "qemu-guest-agent", "sudo"),
)
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
# Nobody looks at a screen, and nothing is to happen beside the boot.
_MASKED = (
    *("getty@tty1.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer"),
    *("e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "systemd-pstore.service"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("systemd-networkd-wait-online.service", "systemd-update-utmp.service"),
)
_OURS = Path(__file__).parent / "debian-root"
# What would be the same in every guest, and what mmdebstrap took from the host.
_REMOVED = ("etc/ssh/ssh_host_*", "var/lib/dbus/machine-id", "etc/resolv.conf", "etc/hostname")
# After a panic the guest restarts: pvpanic has told the host, and a guest that hangs would look alive.
# Without KVM every line on the serial port and every mitigation takes its time.
_BOOT = """\
linux /vmlinuz root=/dev/vda1 ro console=ttyS0 panic=-1 quiet mitigations=off
initrd /initrd.img
"""
# GRUB 2.06 can't read metadata_csum_seed.
_FILE_SYSTEM = ("-m", "0", "-O", "^metadata_csum_seed")


def build(directory: Path, names: tuple[str, ...], *, packages_dir: Path) -> dict[str, Path]:
    """An image for each name, qcow2, in `directory`: {name: path}. IMAGE_ID in its os-release is the name.

    Minutes the first time; what was built from the same recipe is used again. Raises GuestError, also where
    the caller is not root.
    """
    place = directory / f"debian-{_recipe()}"
    images = {name: place / f"{name}.qcow2" for name in names}
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(image.exists() for image in images.values()):
            if os.geteuid() != 0:
                raise GuestError("a Debian image is built by root only: its files belong to many users")
            for older in directory.glob("debian-*"):
                shutil.rmtree(older)
            place.mkdir()
            packages = fetch(packages_dir)
            with tempfile.TemporaryDirectory(dir=place) as work:
                tree = Path(work) / "tree"
                _make_tree(tree)
                for name, image in images.items():
                    _make_image(image, name, tree, packages)
    return images


def _recipe() -> str:
    """Changes with everything here that an image is made of."""
    sources = [Path(__file__), Path(boot_disk.__file__), *_OURS.rglob("*")]
    contents = b"\0".join(file.read_bytes() for file in sorted(sources) if file.is_file())
    return hashlib.sha256(contents).hexdigest()[:12]


def _make_tree(tree: Path) -> None:
    ours = " ".join(str(part) for part in _OURS.iterdir())
    run(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={','.join(_PACKAGES)}"),
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        # Before the kernel comes, whose initramfs is made as these files say.
        f"--essential-hook=copy-in {ours} /",
        f'--customize-hook=chroot "$1" systemctl --quiet mask {" ".join(_MASKED)}',
        '--customize-hook=chroot "$1" systemctl --quiet enable systemd-networkd',
        *(SUITE, tree),
    )
    for pattern in _REMOVED:
        for file in tree.glob(pattern):
            file.unlink()
    (tree / "etc/machine-id").write_text("")


def _make_image(image: Path, name: str, tree: Path, packages: Path) -> None:
    release = tree / "usr/lib/os-release"
    own = [line for line in release.read_text().splitlines() if not line.startswith("IMAGE_ID=")]
    release.write_text("\n".join([*own, f"IMAGE_ID={name}", ""]))
    disk = tree.parent / "disk"
    boot_disk.write(disk, tree, size=SIZE, boot=_BOOT, file_system=_FILE_SYSTEM, packages=packages)
    part = image.with_suffix(".part")
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, part)
    part.rename(image)
