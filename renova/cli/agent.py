"""`renova agent`: the virtual machines of this host. One on each."""

import argparse
import asyncio
import logging
import os
import signal
from contextlib import suppress

from renova.cli import options as shared

# Seconds from SIGTERM to the end, whatever is under way.
GRACE = 5.0


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("agent", help="run the agent of this host")
    shared.add_config(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from renova.agent import program

    conf = shared.load(options, checks_tokens=False)
    logging.basicConfig(
        level=logging.DEBUG if conf.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    if not conf.debug:
        for library in ("httpx", "procrastinate"):  # They tell of every request and of every job.
            logging.getLogger(library).setLevel(logging.WARNING)

    async def until_told() -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def stop() -> None:
            task.cancel()
            # The job queue loses a cancellation while the database is away. An agent may always be killed.
            loop.call_later(GRACE, os._exit, 1)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        with suppress(asyncio.CancelledError):
            await program.run(conf)

    asyncio.run(until_told())
    return 0
