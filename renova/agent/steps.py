"""The steps of every operation. Each makes something so, and looks at the world first: done twice, it
changes nothing.

A step never trusts that another has run: the one that needs a stopped guest stops it itself.
"""

from functools import partial

from renova.agent import data_disks, disks, exchange, removal
from renova.agent.admin_pass import set_admin_pass
from renova.agent.data_disks import DataDisks
from renova.agent.files import in_thread
from renova.agent.generation_files import ensure_base, ensure_disks, ensure_room, server_directory
from renova.agent.qemu.face import Machine
from renova.agent.qemu.spec import MachineSpec
from renova.agent.verify import verify
from renova.agent.work import (
    ALIVE,
    FETCHED,
    PREPARED,
    STARTED,
    STOPPED,
    SWAPPED,
    Interrupted,
    StepFailed,
    Work,
)
from renova.compute import rebuild
from renova.compute.generations import mark_prepared

GIB = 1024**3


# --- the machine


async def ensure_stopped(work: Work) -> None:
    """The guest is off and QEMU is gone: asked politely for [compute] shutdown_timeout seconds, then
    ended.
    """
    machine = work.tools.hypervisor.get(work.action.server_id)
    if machine is not None:
        await _ask_to_power_down(work, machine)
        await machine.quit()


async def _ask_to_power_down(work: Work, machine: Machine) -> bool:
    patience = work.tools.conf.compute.shutdown_timeout
    off = await work.unless_interrupted(machine.power_down(patience))
    work.note("the guest powered itself off" if off else f"the guest was ended after {patience} s")
    return off


async def ensure_ended(work: Work) -> None:
    """QEMU is gone, at once."""
    machine = work.tools.hypervisor.get(work.action.server_id)
    if machine is not None:
        await machine.quit()


async def ensure_started(work: Work, number: int) -> None:
    """A machine of exactly this generation runs."""
    machine = work.tools.hypervisor.get(work.action.server_id)
    if machine is not None:
        if machine.spec.generation == number and not machine.ended.done():
            return
        await machine.quit()
    await work.tools.hypervisor.start(await spec_of(work, number))


async def spec_of(work: Work, number: int) -> MachineSpec:
    generation = work.generations[number]
    server = work.server
    base = await ensure_base(work, generation)
    directory = server_directory(work)
    machine = work.tools.hypervisor.get(server.id)
    # A guest that is off holds them still, as long as its QEMU waits for another system.
    held = machine.spec.cards if machine is not None else ()
    # A resize goes from one flavor to another, and back when it fails: to each generation its own.
    flavor = work.action.detail.get("flavors", {}).get(str(number), server.flavor)
    return MachineSpec(
        server_id=server.id,
        generation=number,
        name=generation.name,
        vcpus=flavor["vcpus"],
        ram_mib=flavor["ram"],
        base=str(base.path),
        base_format=base.disk_format,
        root=str(disks.root_path(directory, number)),
        config_drive=str(disks.config_path(directory, number)),
        data_disks=DataDisks.of(directory, generation, flavor).paths,
        cards=await work.tools.networks.cards(server, held),
    )


# --- rebuild


def _runs(work: Work) -> bool:
    """Whether the server's system runs after the action, whichever it is then."""
    return bool(work.action.detail["runs"])


async def fetch_image(work: Work) -> None:
    generation = work.generations[work.action.detail["to"]]
    await ensure_room(work, generation)
    await ensure_base(work, generation)
    work.reached(FETCHED)


async def make_new_disks(work: Work) -> None:
    await ensure_disks(work, work.action.detail["to"])


async def check_kept_disks(work: Work) -> None:
    """Before an undo: the disks of the generation to go back to are whole, and as large as the flavor now
    says. None is made smaller but a swap disk.
    """
    number = work.action.detail["to"]
    generation, server = work.generations[number], work.server
    base = await ensure_base(work, generation)
    directory = server_directory(work)
    root, drive = disks.root_path(directory, number), disks.config_path(directory, number)
    if not (disks.is_whole(root, base) and drive.exists()):
        raise StepFailed("the kept disk is damaged or gone")
    if _changes_system(work):
        fit = DataDisks.of(directory, generation, server.flavor).fit
        await work.tools.space.with_room(data_disks.empty_size(server.flavor), fit)
    size = server.flavor["disk"] * GIB
    if size > (generation.virtual_size or 0) and _changes_system(work):
        await work.tools.space.with_room(disks.EMPTY_SIZE, partial(disks.grow, root, base, size))
        async with work.tools.single() as session:
            await mark_prepared(session, generation, size)
        work.note(f"the disk was grown to {size} bytes")
    work.reached(PREPARED)


def _changes_system(work: Work) -> bool:
    """False for an undo that only ends what a failed rebuild began: the server has its old system already."""
    return bool(work.action.detail["from"] != work.action.detail["to"])


def _machine_of(work: Work, end: str) -> Machine | None:
    """The server's machine, if it is of the generation that the action leads "from" or "to"."""
    machine = work.tools.hypervisor.get(work.action.server_id)
    return machine if machine is not None and machine.spec.generation == work.action.detail[end] else None


async def stop_old(work: Work) -> None:
    """The guest has had its time to power itself off; its QEMU stays for the new generation to go on in.

    One that was given no time runs on until then: its last moment is not in this step. Nothing to do when the
    new generation runs already: then the agent was killed after the swap.
    """
    machine = _machine_of(work, "from")
    if machine is not None and _changes_system(work):
        if not _runs(work):
            await ensure_stopped(work)
        elif work.tools.conf.compute.shutdown_timeout == 0:
            work.note("the guest runs until the new system takes its place")
        elif not await _ask_to_power_down(work, machine):
            await exchange.halt(machine)
    work.reached(STOPPED)


async def end_old(work: Work) -> None:
    """The guest is off and nobody has its disk open."""
    if _machine_of(work, "from") is not None:
        await ensure_stopped(work)
    work.reached(STOPPED)


async def start_old(work: Work) -> None:
    """The old system runs again, if it is to run. It is not even touched when it was never stopped."""
    await _start(work, "from")


async def _start(work: Work, end: str) -> None:
    machine = _machine_of(work, end)
    if _runs(work) and (machine is None or machine.ended.done()):
        await exchange.become(work, await spec_of(work, work.action.detail[end]))


async def swap(work: Work) -> None:
    async with work.tools.single() as session:
        if not await rebuild.swap(session, work.action):
            raise Interrupted
    work.reached(SWAPPED)


async def unswap(work: Work) -> None:
    async with work.tools.single() as session:
        await rebuild.unswap(session, work.action)


async def start_new(work: Work) -> None:
    await _start(work, "to")
    work.reached(STARTED)


async def end_new(work: Work) -> None:
    machine = _machine_of(work, "to")
    if machine is not None and _changes_system(work):
        await exchange.halt(machine)


async def verify_new(work: Work) -> None:
    if _runs(work):
        await verify(work, work.action.detail["to"])
        work.reached(ALIVE)
    await set_admin_pass(work, work.action.detail["to"])


async def tidy_generations(work: Work) -> None:
    """What no longer has a use: after a success every generation but the new one and its predecessor, which
    is kept for going back; after a failure the one that was being made. Where an undo failed so early that
    the new one is still the server's, it is as after a success.
    """
    await close_old_disks(work)
    old, new = work.action.detail["from"], work.action.detail["to"]
    if work.action.failed_step and await work.current_generation() != new:
        await drop(work, [new])
    else:
        tools = work.tools
        kept = {old, new}
        await removal.drop_all_but(tools.conf.state_path, tools.single, work.action.server_id, kept)


async def close_old_disks(work: Work) -> None:
    machine = work.tools.hypervisor.get(work.action.server_id)
    if machine is not None:
        await machine.close_old_disks()


async def drop(work: Work, numbers: list[int]) -> None:
    tools = work.tools
    await removal.drop(tools.conf.state_path, tools.single, work.action.server_id, numbers)


# --- the other operations


async def make_disks(work: Work) -> None:
    number = await work.current_generation()
    await ensure_room(work, work.generations[number])
    await ensure_disks(work, number)


async def start(work: Work) -> None:
    await ensure_started(work, await work.current_generation())


async def remove_everything(work: Work) -> None:
    await work.tools.hypervisor.remove(work.action.server_id)
    await in_thread(disks.remove_all, server_directory(work))
