"""Writes the archive that a kernel unpacks as its initramfs, so that no program is needed for it.

The format is "newc": https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
"""

import stat


def archive(directories: list[str], files: dict[str, bytes]) -> bytes:
    """An archive of empty directories (0755) and of files (0755, content by path), all owned by root."""
    entries = [(path, stat.S_IFDIR | 0o755, b"") for path in directories]
    entries += [(path, stat.S_IFREG | 0o755, content) for path, content in files.items()]
    entries.append(("TRAILER!!!", 0, b""))
    return b"".join(_entry(inode, *entry) for inode, entry in enumerate(entries, start=1))


def _entry(inode: int, path: str, mode: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
