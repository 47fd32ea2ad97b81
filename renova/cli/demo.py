"""`renova demo`: shows on this machine, from nothing to a proof, that a rebuild is real."""

import argparse
from pathlib import Path


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("demo", help="start a cloud, rebuild a server in it, prove it, clean up")
    parser.add_argument(
        "--state",
        type=Path,
        help="a state directory of `renova up` to use and to leave (default: a temporary one)",
    )
    parser.add_argument(
        "--port-offset",
        type=int,
        metavar="N",
        help="added to every port (default: one at which all are free)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from renova.demo import run

    return run.run(options.state, options.port_offset)
