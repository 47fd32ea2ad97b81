"""`renova down`: end a cloud of `renova up`, its virtual machines included. Nothing on disk is touched."""

import argparse

from renova.cli import options as shared


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("down", help="stop that cloud and its virtual machines")
    shared.add_state(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from renova.cloud.down import down

    state = shared.state_of(options)
    ended = down(state)
    print(f"renova: ended, with {ended} virtual machines; servers, images and users are kept in {state.path}")
    return 0
