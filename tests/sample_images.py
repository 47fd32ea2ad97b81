"""Disk images for tests, honest and hostile, made byte by byte."""

import struct

MIB = 1024 * 1024
CLUSTER_BITS = 16


def raw(size: int = MIB, *, partitioned: bool = True) -> bytes:
    """A raw disk with a boot sector; without a partition it is what a hand-made boot loader looks like."""
    disk = bytearray(size)
    disk[:4] = b"BOOT"
    if partitioned:
        disk[446:462] = struct.pack("<B3sB3sII", 0x80, bytes(3), 0x83, bytes(3), 1, size // 512)
    disk[510:512] = b"\x55\xaa"
    return bytes(disk)


def qcow2(
    virtual_size: int = 64 * MIB,
    *,
    version: int = 3,
    backing: bytes = b"",
    incompatible: int = 0,
    encryption: int = 0,
    l1_entries: int = 1,
    size: int = 4 << CLUSTER_BITS,
) -> bytes:
    """An empty qcow2 image: header, refcount table, refcount block, L1 table, a cluster each.

    `incompatible` is the field of that name: bit 2 is an external data file. `size` cuts the file.
    """
    cluster = 1 << CLUSTER_BITS
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb",
        version,
        512 if backing else 0,
        len(backing),
        CLUSTER_BITS,
        virtual_size,
        encryption,
        l1_entries,
        3 * cluster,
        cluster,
        1,
        0,
        0,
        incompatible,
        0,
        0,
        4,
        104,
    )
    file = bytearray(4 * cluster)
    file[: len(header)] = header
    file[512 : 512 + len(backing)] = backing
    file[cluster : cluster + 8] = struct.pack(">Q", 2 * cluster)
    file[2 * cluster : 2 * cluster + 8] = struct.pack(">4H", 1, 1, 1, 1)
    return bytes(file[:size])


def vmdk() -> bytes:
    """The start of a VMware disk whose descriptor names a file of the host."""
    header = struct.pack("<4sIIQQQQIQQ", b"KDMV", 1, 3, 2048, 128, 1, 20, 512, 0, 21)
    descriptor = b'# Disk DescriptorFile\ncreateType="monolithicFlat"\nRW 2048 FLAT "/etc/shadow" 0\n'
    return (header.ljust(512, b"\0") + descriptor).ljust(MIB, b"\0")
