"""Builds the image of a small Linux without root: kernel, initramfs, busybox, and the scripts of root/."""

import gzip
import shlex
import shutil
import tempfile
from pathlib import Path

from renova.guests import boot_disk, cpio
from renova.guests.packages import fetch, fetch_ssh
from renova.guests.programs import run

SIZE = 24 << 20
# What an SSH server and its libraries take.
SSH_SIZE = 8 << 20
# The kernel alone starts with 96 MiB; this leaves room for a script of the user's.
RAM_MIB = 128

_HERE = Path(__file__).parent
# Where something is mounted or written; the rest of the tree comes from root/ and with the files.
_DIRECTORIES = ("bin", "boot", "dev", "mnt/config", "proc", "run", "sys", "tmp", "var/lib")
# In the order of their dependencies. Everything else that a guest needs is built into Debian's cloud kernel.
_MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"),
    *("failover", "net_failover", "virtio_net", "virtio_console", "cdrom", "isofs"),
    *("evdev", "button", "pvpanic", "pvpanic-pci"),
)
# What dropbear needs of its packages.
_LIBRARIES = (
    *("ld-linux-x86-64.so.2", "libc.so.6", "libcrypt.so.1", "libz.so.1", "libgmp.so.10"),
    *("libtomcrypt.so.1", "libtommath.so.1"),
)
# After a panic the guest restarts: pvpanic has told the host, and a guest that hangs would look alive.
_BOOT = """\
linux /boot/vmlinuz console=ttyS0 loglevel=4 panic=-1
initrd /boot/initramfs
"""
# GRUB 2.06 can't read metadata_csum_seed, a default of mke2fs 1.47; a journal would take 4 MiB.
_FILE_SYSTEM = ("-m", "0", "-O", "^metadata_csum,^has_journal,^resize_inode")


def build(out: Path, *, name: str, version: str, secret: str, packages_dir: Path, ssh: bool = False) -> Path:
    """Write a compressed qcow2 image (14 MB, 24 MiB virtual) to `out` and return `out`.

    The guest calls itself "{name} {version}" and has `secret` in /etc/renova-secret; with `ssh` the server's
    key lets root in. `packages_dir` keeps what was downloaded, for any number of images. Whoever reads `out`
    sees the whole image or what was there before. Raises GuestError.
    """
    packages = fetch(packages_dir)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".guest-") as directory:
        work = Path(directory)
        _fill_root(work / "root", packages)
        _introduce(work / "root", name, version, secret)
        if ssh:
            _add_ssh(work / "root", fetch_ssh(packages_dir))
        boot_disk.write(
            work / "disk",
            work / "root",
            size=SIZE + (SSH_SIZE if ssh else 0),
            boot=_BOOT,
            file_system=_FILE_SYSTEM,
            packages=packages,
        )
        run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", work / "disk", work / "image")
        (work / "image").rename(out)
    return out


def _fill_root(root: Path, packages: Path) -> None:
    shutil.copytree(_HERE / "root", root)
    for script in [*root.glob("sbin/*"), *root.glob("etc/acpi/*/*")]:
        script.chmod(0o755)
    for directory in _DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    busybox = packages / "bin/busybox"
    shutil.copy(busybox, root / "bin/busybox")
    for applet in run(busybox, "--list-full").split():
        link = root / applet
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to("/bin/busybox")
    (root / "var/lib/boots").write_text("0\n")
    (kernel,) = packages.glob("boot/vmlinuz-*")
    shutil.copy(kernel, root / "boot/vmlinuz")
    (root / "boot/initramfs").write_bytes(_initramfs(packages))


def _add_ssh(root: Path, packages: Path) -> None:
    for program in ("usr/sbin/dropbear", "usr/bin/dropbearkey"):
        shutil.copy(packages / program, root / "sbin")
    # The place where a program of Debian asks for its loader, which looks in the other two.
    for place in ("lib64", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"):
        (root / place).mkdir(parents=True, exist_ok=True)
        for library in _LIBRARIES:
            for file in packages.glob(f"{place}/{library}"):
                shutil.copy(file, root / place)


def _initramfs(packages: Path) -> bytes:
    files = {
        "init": (_HERE / "initramfs/init").read_bytes(),
        "bin/busybox": (packages / "bin/busybox").read_bytes(),
        "modules/order": "\n".join(_MODULES).encode(),
    }
    for module in _MODULES:
        (file,) = packages.glob(f"lib/modules/*/kernel/**/{module}.ko")
        files[f"modules/{module}.ko"] = file.read_bytes()
    archive = cpio.archive(["bin", "dev", "modules", "proc", "root", "sys"], files)
    return gzip.compress(archive, mtime=0)


def _introduce(root: Path, name: str, version: str, secret: str) -> None:
    (root / "etc/os-release").write_text(
        f"ID={shlex.quote(name)}\nVERSION_ID={shlex.quote(version)}\n"
        f"PRETTY_NAME={shlex.quote(f'{name} {version}')}\n"
    )
    (root / "etc/renova-secret").write_text(secret)
