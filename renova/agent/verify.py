"""Whether the system that was just started is alive."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from renova.agent.qemu.face import Machine
from renova.agent.work import StepFailed, Work
from renova.image import promises_agent

# How long one question to the guest agent may take, and the pause between two, in seconds.
ASK_AGENT = 5.0
ASK_AGAIN = 0.5
# Seconds between two looks whether a guest has reset itself.
LOOK_AGAIN = 0.1


async def verify(work: Work, number: int) -> None:
    """The new OS is alive: its guest agent answers, if the image promises one; else it neither panics nor
    keeps resetting.

    A guest whose process ends, or that only resets, is dead in both cases, and noticed long before an agent
    would be given up.
    """
    machine = work.tools.hypervisor.get(work.action.server_id)
    if machine is None:
        raise StepFailed("the new system's QEMU is gone")
    generation = work.generations[number]
    settle = work.tools.conf.rebuild.settle
    promised = promises_agent(generation.image_properties)
    alive = _agent_answers(work, machine) if promised else settles(machine, settle)
    try:
        await work.unless_interrupted(_unless_ended(machine, alive))
    except TimeoutError:
        limit = work.tools.conf.rebuild.agent_timeout
        raise StepFailed(f"the new system's guest agent did not answer within {limit} seconds") from None
    if machine.stalled:
        raise StepFailed(f"the new system stands still: {machine.stalled}")


async def _agent_answers(work: Work, machine: Machine) -> None:
    settling = asyncio.create_task(settles(machine, work.tools.conf.rebuild.settle))
    asking = asyncio.create_task(_ask_agent(work, machine))
    try:
        await asyncio.wait({settling, asking}, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            settling.result()
        await asking
    finally:
        for task in (settling, asking):
            task.cancel()
        await asyncio.gather(settling, asking, return_exceptions=True)


async def _ask_agent(work: Work, machine: Machine) -> None:
    async with asyncio.timeout(work.tools.conf.rebuild.agent_timeout):
        while not await machine.agent_answers(ASK_AGENT):  # noqa: ASYNC110  Nothing tells of an agent's start.
            await asyncio.sleep(ASK_AGAIN)


async def settles(machine: Machine, settle: float) -> None:
    """Return when the guest has not reset itself for `settle` seconds, raise StepFailed where it still does
    after twice that time.

    One reset proves nothing, whenever it comes: firmware resets at some boots, and a system may boot itself
    once more when it is set up. A firmware that finds nothing to boot tries again after a second and the time
    that it takes itself, which may be long on a busy host: so the silence has to be twice as long as any
    silence that a reset ended. After a restart of the agent the time begins again.
    """
    begun = silent_since = time.monotonic()
    longest = 0.0
    while time.monotonic() - silent_since < max(settle, 2 * longest):
        await asyncio.sleep(LOOK_AGAIN)
        last = machine.last_guest_reset
        if last is not None and last > silent_since:
            longest = max(longest, last - silent_since)
            silent_since = last
        if silent_since - begun > 2 * settle:
            raise StepFailed(f"the new system was still resetting itself after {2 * settle:.0f} seconds")


async def _unless_ended(machine: Machine, waiting: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(waiting)
    either: set[asyncio.Future[Any]] = {task, machine.ended}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if machine.ended.done():
            raise StepFailed(f"the new system did not stay up: {machine.ended.result()}")
        task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
