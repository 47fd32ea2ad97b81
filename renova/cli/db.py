"""`renova db upgrade`: bring the database to the tables of this version."""

import argparse

from renova.cli import options as shared
from renova.errors import Unavailable


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("db", help="look after the database")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    upgrade = actions.add_parser("upgrade", help="bring it to the tables of this version")
    shared.add_config(upgrade)
    upgrade.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from sqlalchemy.exc import OperationalError

    from renova.db.upgrade import upgrade

    conf = shared.load(options)
    try:
        upgrade(conf.database.connection)
    except OperationalError as error:
        reason = " ".join(str(error.orig).split())
        raise Unavailable(f"the database can't be upgraded: {reason}") from None
    return 0
