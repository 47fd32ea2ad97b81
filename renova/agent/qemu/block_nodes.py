"""What lies below a machine's disks: QEMU's graph of block nodes, and the exchange of one generation's for
another's under the live QEMU.

The devices sit on two raw nodes that stay, `root` and `config`. Below them lie nodes that carry their
generation's number, so both generations can be open at once. Drivers and backing files are always given,
so that no path or format in a header is ever followed. Source: QEMU's QAPI reference, "Block devices".
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from renova.agent.qemu.inherited import Disks, OpenFile, open_disks
from renova.agent.qemu.monitor import Monitor
from renova.agent.qemu.spec import MachineSpec

Node = dict[str, object]
Command = tuple[str, Mapping[str, object]]
_NODES: Command = ("query-named-block-nodes", {"flat": True})
_GENERATION_NODE = re.compile(r"(?:root|config)-(\d+)")
_FDSET = re.compile(r"/dev/fdset/(\d+)")


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


def node_names(spec: MachineSpec) -> list[str]:
    """Of one generation."""
    return [f"root-{spec.generation}", *([f"config-{spec.generation}"] if spec.config_drive else ())]


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


async def nodes_beside(monitor: Monitor, spec: MachineSpec) -> list[str]:
    """The nodes of every generation but one."""
    names = [node["node-name"] for node in await monitor.execute(*_NODES)]
    return [name for name in names if _GENERATION_NODE.fullmatch(name) and name not in node_names(spec)]


async def close(monitor: Monitor, names: Sequence[str]) -> None:
    """Close nodes that no device sits on, and their files."""
    deletions = (("blockdev-del", {"node-name": name}) for name in names)
    before, *_, after = await monitor.execute_all(_NODES, *deletions, _NODES)
    closed = {node["file"] for node in before} - {node["file"] for node in after}
    numbers = (_FDSET.fullmatch(file) for file in sorted(closed))
    await monitor.execute_all(*(("remove-fd", {"fdset-id": int(match[1])}) for match in numbers if match))


async def _hand_over(monitor: Monitor, file: OpenFile) -> OpenFile:
    """The file as QEMU knows it, once it has a descriptor of its own."""
    return OpenFile(await monitor.hand_over(file.number), file.path)


def file_node(file: OpenFile) -> Node:
    return {"driver": "file", "filename": file.reference}
