"""From one generation of a server to another: in the same QEMU, or in a new one."""

import logging
import time

from renova.agent.qemu.face import Machine
from renova.agent.qemu.spec import MachineSpec
from renova.agent.work import Work
from renova.compute.method import Choice, Method, method_of
from renova.errors import RenovaError

log = logging.getLogger(__name__)


async def halt(machine: Machine) -> None:
    """The guest runs no more. Its QEMU stays, if it is well, for another generation to go on in."""
    try:
        await machine.pause()
    except RenovaError:
        await machine.quit()


async def become(work: Work, spec: MachineSpec) -> None:
    """A machine of exactly this generation runs, whatever ran before. The event says how it came to be."""
    hypervisor = work.tools.hypervisor
    machine = hypervisor.get(spec.server_id)
    why, ended_at = "there was no QEMU", None
    if machine is not None:
        choice = _choose(work, machine, spec)
        why = choice.why
        if choice.method is Method.SWAP:
            try:
                await hypervisor.swap(spec)
            except RenovaError as error:
                log.warning("server %s: %s", spec.server_id, error)
                why = f"the swap failed: {error}"
            else:
                work.note(f"{Method.SWAP}: {why}{_silence(machine.ended_at, machine)}")
                return
        ended_at = machine.ended_at if machine.ended.done() else time.monotonic()
        await machine.quit()
    new = await hypervisor.start(spec)
    work.note(f"{Method.RESPAWN}: {why}{_silence(ended_at, new)}")


def _silence(ended_at: float | None, machine: Machine) -> str:
    """How long the server was without a running guest, where that is known."""
    if ended_at is None or machine.ran_at is None:
        return ""
    return f"; off the air for {(machine.ran_at - ended_at) * 1000:.1f} ms"


def _choose(work: Work, machine: Machine, spec: MachineSpec) -> Choice:
    if machine.spec.generation == spec.generation:
        return Choice(Method.RESPAWN, "the system before is started again")
    if not machine.spec.is_same_machine(spec):
        return Choice(Method.RESPAWN, "the machine itself changes")
    images = [work.generations[work.action.detail[end]].image_properties for end in ("from", "to")]
    return method_of(work.tools.conf.rebuild.method, *images, running=True)
