"""`renova api`: the compute API. It keeps nothing, so start as many as you like behind a balancer."""

import argparse
import os
import sys

from renova.cli import options as shared


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("api", help="run the compute API")
    shared.add_config(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    conf = shared.load(options)
    os.environ["RENOVA_CONFIG"] = str(options.config)
    address, port = conf.api.listen, str(conf.api.port)
    os.execv(sys.executable, [sys.executable, "-m", "renova.api.program", address, port])  # noqa: S606
