"""What a person types: `renova up`, and the programs that it starts. One file for each command."""

import argparse
import sys

from renova.cli import agent, api, db, demo, down, guest, up
from renova.errors import RenovaError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code. What can't be done is one line on standard error."""
    parser = argparse.ArgumentParser(
        prog="renova", description="A compute service whose rebuild never loses a server."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (up, down, api, agent, db, demo, guest):
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        result: int = options.run(options)
    except RenovaError as error:
        print(f"renova: {error.message}", file=sys.stderr)
        return 1
    return result
