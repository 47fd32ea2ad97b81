"""`renova guest`: builds the small Linux images of the demo and the tests."""

import argparse
import secrets
from pathlib import Path


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("guest", help="build the two small Linux images that the demo boots")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write them")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from renova.guests.image import build
    from renova.guests.packages import default_directory

    for name, version in (("alpha", "1"), ("beta", "2")):
        image = options.out / f"{name}-{version}.qcow2"
        secret = secrets.token_hex(16)
        build(image, name=name, version=version, secret=secret, packages_dir=default_directory())
        print(image)
    return 0
