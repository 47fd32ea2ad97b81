"""What lies below a machine's disks: QEMU's graph of block nodes, and the exchange of one generation's for
another's under the live QEMU.

The devices sit on two raw nodes that stay, `root` and `config`. Below them lie nodes that carry their
generation's number, so both generations can be open at once. Drivers and backing files are always given,
so that no path or format in a header is ever followed. Source: QEMU's QAPI reference, "Block devices".
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import ExitStack

from renova.agent.qemu.inherited import Disks, OpenFile, fdset_path, open_disks
from renova.agent.qemu.monitor import Command, Monitor
from renova.agent.qemu.run_directory import CONSOLE
from renova.agent.qemu.spec import MachineSpec

Node = dict[str, object]
_NODES: Command = ("query-named-block-nodes", {"flat": True})
# QEMUs of earlier agents have the base as a node of its own.
_GENERATION_NODE = re.compile(r"(?:root|config|base)-(\d+)")


def generation_nodes(spec: MachineSpec, disks: Disks) -> list[Node]:
    """The nodes of one generation: its overlay, with the base in it, and its config drive."""
    # What lies below an overlay is opened for reading only, whatever the overlay is opened for.
    base: Node = {"driver": spec.base_format, "file": file_node(disks.base)}
    if spec.base_format == "qcow2":
        base["backing"] = None
    root, config = f"root-{spec.generation}", f"config-{spec.generation}"
    overlay: Node = {"driver": "qcow2", "node-name": root, "file": file_node(disks.root), "backing": base}
    if disks.config_drive is None:
        return [overlay]
    return [overlay, {"node-name": config, "read-only": True, **file_node(disks.config_drive)}]


def device_nodes(spec: MachineSpec) -> list[Node]:
    """The nodes that the devices sit on, over those of a generation."""
    nodes: list[Node] = [{"driver": "raw", "node-name": "root", "file": f"root-{spec.generation}"}]
    if spec.config_drive:
        config = f"config-{spec.generation}"
        nodes.append({"driver": "raw", "node-name": "config", "read-only": True, "file": config})
    return nodes


async def add_generation(monitor: Monitor, spec: MachineSpec) -> None:
    """Give a running QEMU the files of a generation and open them, beside whatever it has open. The guest
    sees nothing of it.

    Raises RenovaError where a file is missing, or with QEMU's own sentence.
    """
    with ExitStack() as stack:
        ours = await asyncio.to_thread(open_disks, spec, stack)
        theirs = Disks(
            base=await _hand_over(monitor, ours.base),
            root=await _hand_over(monitor, ours.root),
            config_drive=await _hand_over(monitor, ours.config_drive) if ours.config_drive else None,
        )
    await monitor.execute_all(*(("blockdev-add", node) for node in generation_nodes(spec, theirs)))


def exchange(spec: MachineSpec) -> Command:
    """Puts the nodes of a generation below the devices: all of them, or none. Its guest must not run."""
    return "blockdev-reopen", {"options": device_nodes(spec)}


async def close_others(monitor: Monitor, number: int) -> None:
    """Close the nodes of every generation but this one, and each file that no node has. Raises RenovaError.

    A file of a machine whose guest stands still is closed by the next call when it runs: QEMU 7.2 closes it
    only then (`monitor_fdset_cleanup`).
    """
    nodes = await monitor.execute(*_NODES)
    found = (_GENERATION_NODE.fullmatch(node["node-name"]) for node in nodes)
    # An overlay goes before its base.
    useless = sorted((match[0] for match in found if match and int(match[1]) != number), reverse=True)
    deletions = (("blockdev-del", {"node-name": name}) for name in useless)
    *_, nodes, fdsets = await monitor.execute_all(*deletions, _NODES, ("query-fdsets", {}))
    used = {node["file"] for node in nodes}
    unused = [fdset for fdset in fdsets if fdset_path(fdset["fdset-id"]) not in used]
    # The console's log is the one file that QEMU has in a set and in no node.
    files = [fdset["fdset-id"] for fdset in unused if not any(_is_console(fd) for fd in fdset["fds"])]
    await monitor.execute_all(*(("remove-fd", {"fdset-id": fdset}) for fdset in files))


def _is_console(descriptor: Mapping[str, str]) -> bool:
    return descriptor.get("opaque", "").endswith(f"/{CONSOLE}")


async def _hand_over(monitor: Monitor, file: OpenFile) -> OpenFile:
    """The file as QEMU knows it, once it has a descriptor of its own."""
    return OpenFile(await monitor.hand_over(file.number), file.path)


def file_node(file: OpenFile) -> Node:
    return {"driver": "file", "filename": file.reference}
