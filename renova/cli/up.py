"""`renova up`: a whole cloud on this machine, in the foreground."""

import argparse
import asyncio
import os

from renova.cli import options as shared
from renova.cloud.state import State


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("up", help="run a whole cloud on this machine, in the foreground")
    shared.add_state(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    # PostgreSQL and QEMU, as users of their own, pass through directories of ours; secrets say their mode.
    os.umask(0o022)
    state: State = shared.state_of(options)
    from renova.cloud.up import up

    asyncio.run(up(state))
    return 0
