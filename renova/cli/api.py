"""`renova api`: the compute API. It keeps nothing, so start as many as you like behind a balancer."""

import argparse
import os

from renova.cli import options as shared


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("api", help="run the compute API")
    shared.add_config(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from granian.constants import Interfaces

    from renova.api.app import create
    from renova.cloud.serving import serve

    conf = shared.load(options)
    os.environ["RENOVA_CONFIG"] = str(options.config)
    serve(f"renova api {options.config}", create, Interfaces.ASGI, conf.api.port, conf.api.listen)
    return 0
