"""An empty qcow2 file over a base image, written without starting a program for it.

Source: QEMU, docs/interop/qcow2.txt. The layout is qemu-img's own: a cluster each for the header, the table
of reference counts and its one block, then the L1 table, which says that everything is still in the base.
"""

import os
import struct

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS
# An entry of the L1 table stands for a cluster of entries of 8 bytes, each for a cluster of the disk.
L1_REACH = CLUSTER // 8 * CLUSTER
REFCOUNT_TABLE, REFCOUNT_BLOCK, L1_TABLE = 1, 2, 3  # In clusters.
# Magic, version, backing file (offset, length), cluster bits, size, encryption, L1 table (entries, offset),
# table of reference counts (offset, clusters), snapshots (number, offset), features (incompatible,
# compatible, autoclear), reference counts of 1 << 4 bits, length of the header.
HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
REFCOUNT_ORDER = 4
EXTENSION = struct.Struct(">II")
BACKING_FORMAT, END = 0xE2792ACA, 0


def write_overlay(descriptor: int, base: str, base_format: str, size: int) -> None:
    """Write an empty disk of `size` bytes, a multiple of 512, into an empty file. `base` is what the header
    names. Raises OSError.
    """
    entries = -(-size // L1_REACH)
    clusters = L1_TABLE + -(-entries * 8 // CLUSTER)
    driver, name = base_format.encode(), os.fsencode(base)
    extensions = EXTENSION.pack(BACKING_FORMAT, len(driver)) + driver + bytes(-len(driver) % 8)
    extensions += EXTENSION.pack(END, 0)
    header = HEADER.pack(
        b"QFI\xfb",
        3,
        HEADER.size + len(extensions),
        len(name),
        CLUSTER_BITS,
        size,
        0,
        entries,
        L1_TABLE * CLUSTER,
        REFCOUNT_TABLE * CLUSTER,
        1,
        *(0, 0),
        *(0, 0, 0),
        REFCOUNT_ORDER,
        HEADER.size,
    )
    for cluster, content in (
        (0, header + extensions + name),
        (REFCOUNT_TABLE, struct.pack(">Q", REFCOUNT_BLOCK * CLUSTER)),
        (REFCOUNT_BLOCK, struct.pack(">H", 1) * clusters),
    ):
        os.pwrite(descriptor, content, cluster * CLUSTER)
    os.ftruncate(descriptor, clusters * CLUSTER)
