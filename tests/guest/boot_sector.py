"""The smallest guest: 512 bytes that speak on the first serial port, a tenth of a second after the start.

The code is 16-bit x86, loaded by the firmware at 0x7C00 with interrupts on. Each part lies at a fixed place,
so that nothing has to be linked: code at 0x7C00, the print routine at 0x7C80, the marker at 0x7D00, the
counter at 0x7D90, the descriptor table at 0x7DA0. The place of a partition table (0x7DBE) stays empty.
"""

import subprocess
from enum import Enum
from pathlib import Path

SECTOR = 512
IMAGE_SIZE = 1024 * 1024
PRINT, MARKER, COUNTER, TABLE = 0x80, 0x100, 0x190, 0x1A0  # Offsets from 0x7C00.
COUNTER_TEXT = b"tick 00000\r\n\0"

PROLOGUE = bytes.fromhex(
    "31 C0"  # xor ax, ax
    "8E D8"  # mov ds, ax
    "8E D0"  # mov ss, ax
    "BC 00 7C"  # mov sp, 0x7C00
    "FC FB"  # cld; sti
)
SAY_MARKER = bytes.fromhex(
    "BE 00 7D"  # mov si, marker
    "BB 80 7C"  # mov bx, print
    "FF D3"  # call bx
)
# Prints the text at si up to a zero byte. Changes ax, dx and si.
PRINT_CODE = bytes.fromhex(
    "AC"  # next: lodsb
    "84 C0"  # test al, al
    "74 11"  # jz done
    "88 C4"  # mov ah, al
    "BA FD 03"  # mov dx, 0x3FD, the line status
    "EC"  # wait: in al, dx
    "A8 20"  # test al, 0x20, room for a byte
    "74 FB"  # jz wait
    "88 E0"  # mov al, ah
    "B2 F8"  # mov dl, 0xF8, the data port 0x3F8
    "EE"  # out dx, al
    "EB EA"  # jmp next
    "C3"  # done: ret
)
HALT = bytes.fromhex(
    "F4"  # again: hlt
    "EB FD"  # jmp again
)
COUNT = bytes.fromhex(
    "F4"  # wait: hlt, until the timer ticks
    "B0 00 E6 70 E4 71"  # al := seconds of the real-time clock
    "38 C1"  # cmp cl, al
    "74 F5"  # je wait
    "88 C1"  # mov cl, al
    "BF 99 7D"  # mov di, the counter's last digit
    "FE 05"  # digit: inc byte [di]
    "80 3D 3A"  # cmp byte [di], '9' + 1
    "72 06"  # jb print
    "C6 05 30"  # mov byte [di], '0'
    "4F"  # dec di
    "EB F3"  # jmp digit
    "BE 90 7D"  # print: mov si, counter
    "BB 80 7C FF D3"  # call print
    "EB D9"  # jmp wait
)
REPEAT = bytes.fromhex(
    "F4"  # wait: hlt, until the timer ticks
    "B0 00 E6 70 E4 71"  # al := seconds of the real-time clock
    "38 C1"  # cmp cl, al
    "74 F5"  # je wait
    "88 C1"  # mov cl, al
    "BE 00 7D BB 80 7C FF D3"  # print the marker
    "EB E9"  # jmp wait
)
FLOOD = bytes.fromhex("BB 0B 7C FF E3")  # mov bx, the place of SAY_MARKER; jmp bx
# Writes the whole disk behind the boot sector by the BIOS, 64 sectors at a time, out of the memory at 0x8000;
# a write behind the end fails, and that is the end.
FILL = bytes.fromhex(
    "BE 00 06"  # mov si, 0x600, where the address packet is put together
    "C7 04 10 00"  # its size: 16
    "C7 44 02 40 00"  # sectors: 64
    "C7 44 04 00 80"  # buffer: offset 0x8000
    "C7 44 06 00 00"  # segment 0
    "66 C7 44 08 40 00 00 00"  # first sector: 64
    "66 C7 44 0C 00 00 00 00"  # its upper half
    "B4 43 B0 00 B2 80"  # next: extended write to the first disk
    "CD 13"  # int 0x13
    "72 07"  # jc done
    "66 83 44 08 40"  # add dword [first sector], 64
    "EB EF"  # jmp next
    "BE 90 7D BB 80 7C FF D3"  # done: print the counter
)
RESET = bytes.fromhex(
    "BA F9 0C"  # mov dx, 0xCF9, the reset control register
    "B0 06 EE"  # out dx, 6
)
POWER_OFF = bytes.fromhex(
    "BA 04 06"  # mov dx, 0x604, the ACPI PM1a control register of a q35
    "B8 00 20 EF"  # out dx, sleep enable with type 0
)
OBEY = (
    bytes.fromhex(
        "BA 02 06"  # mov dx, 0x602, the PM1a enable register
        "B8 00 01 EF"  # out dx, power button
        "F4"  # wait: hlt
        "BA 00 06 ED"  # in ax, 0x600, the PM1a status register
        "F6 C4 01"  # test ah, 1, power button pressed
        "74 F6"  # jz wait
    )
    + POWER_OFF
)
# Finds the pvpanic device and writes "panicked" to its register. That lies above the first MiB, so the code
# borrows a segment of 4 GiB from protected mode.
PANIC = bytes.fromhex(
    "66 BB 00 00 00 80"  # mov ebx, the PCI address of device 0
    "66 89 D8"  # next: mov eax, ebx
    "BA F8 0C 66 EF"  # out 0xCF8, eax
    "B2 FC 66 ED"  # in eax, 0xCFC, vendor and device
    "66 3D 36 1B 11 00"  # cmp eax, 0x00111B36
    "74 09"  # je found
    "66 81 C3 00 08 00 00"  # add ebx, one device
    "EB E3"  # jmp next
    "66 89 D8 0C 10"  # found: mov eax, ebx; or al, the first base address register
    "B2 F8 66 EF"  # out 0xCF8, eax
    "B2 FC 66 ED"  # in eax, 0xCFC
    "66 97"  # xchg edi, eax
    "FA"  # cli
    "0F 01 16 B0 7D"  # lgdt [table's own description]
    "0F 20 C0 0C 01 0F 22 C0"  # set cr0's protection bit
    "BB 08 00 8E DB"  # mov ds, the 4 GiB segment
    "24 FE 0F 22 C0"  # clear cr0's protection bit; ds keeps its limit
    "67 C6 07 01"  # mov byte [edi], 1
)
# The empty segment, one of 4 GiB from 0 on, and the description: 16 bytes at 0x7DA0.
DESCRIPTORS = bytes.fromhex("0000000000000000 FFFF00000092CF00 0F00A07D0000")


class Then(Enum):
    """What the guest does after it has said its marker."""

    HALT = HALT
    """Halts with interrupts on, deaf to the power button."""
    COUNT = COUNT
    """Says "tick 00001", "tick 00002", … once a second."""
    REPEAT = REPEAT
    """Says its marker again once a second."""
    FLOOD = FLOOD
    """Says its marker for ever, as fast as it can."""
    FILL = FILL
    """Writes its whole disk, then says "tick 00000"."""
    RESET = RESET
    """Resets, hence says its marker for ever, some times a second."""
    POWER_OFF = POWER_OFF
    """Powers itself off."""
    PANIC = PANIC
    """Says by its pvpanic device that its kernel has panicked."""
    OBEY = OBEY
    """Powers itself off when the ACPI power button is pressed."""


def boot_sector(marker: str, then: Then = Then.HALT) -> bytes:
    """512 bytes. The marker is at most 141 ASCII characters; a carriage return and a newline follow it."""
    text = marker.encode("ascii") + b"\r\n\0"
    code = PROLOGUE + SAY_MARKER + then.value + HALT
    if len(code) > PRINT or len(text) > COUNTER - MARKER:
        raise ValueError(f"the marker {marker!r} is too long")
    sector = bytearray(SECTOR)
    parts = {0: code, PRINT: PRINT_CODE, MARKER: text, COUNTER: COUNTER_TEXT, TABLE: DESCRIPTORS}
    for offset, part in parts.items():
        sector[offset : offset + len(part)] = part
    sector[-2:] = b"\x55\xaa"
    return bytes(sector)


def write_image(path: Path, marker: str, then: Then = Then.HALT, *, disk_format: str = "raw") -> Path:
    """A bootable disk image of 1 MiB, "raw" or "qcow2"; returns its path."""
    raw = boot_sector(marker, then).ljust(IMAGE_SIZE, b"\0")
    if disk_format == "raw":
        path.write_bytes(raw)
        return path
    source = path.with_suffix(".source")
    source.write_bytes(raw)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", disk_format, source, path], check=True)
    source.unlink()
    return path
