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


async def verify(work: Work, number: int) -> None:
    """The new OS is alive: its guest agent answers, if the image promises one; else it neither panics nor
    keeps resetting.

    A guest whose process ends is dead in both cases, and noticed at once.
    """
    machine = work.tools.hypervisor.get(work.action.server_id)
    if machine is None:
        raise StepFailed("the new system's QEMU is gone")
    generation = await work.generation(number)
    alive = _agent_answers if promises_agent(generation.image_properties) else _settles
    try:
        await work.unless_interrupted(_unless_ended(machine, alive(work, machine)))
    except TimeoutError:
        limit = work.tools.conf.rebuild.agent_timeout
        raise StepFailed(f"the new system's guest agent did not answer within {limit} seconds") from None


async def _agent_answers(work: Work, machine: Machine) -> None:
    async with asyncio.timeout(work.tools.conf.rebuild.agent_timeout):
        while not await machine.agent_answers(ASK_AGENT):  # noqa: ASYNC110  Nothing tells of an agent's start.
            await asyncio.sleep(ASK_AGAIN)


async def _settles(work: Work, machine: Machine) -> None:
    """Firmware resets once or twice at each boot; a system that still resets when it should have settled is
    in a loop.
    """
    settle = work.tools.conf.rebuild.settle
    begun = time.monotonic()
    await asyncio.sleep(settle)
    last = machine.last_guest_reset
    if last is not None and last > begun + settle / 2:
        raise StepFailed(f"the new system was still resetting itself after {settle} seconds")


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
