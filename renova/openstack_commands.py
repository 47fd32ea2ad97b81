"""Renova's part of the openstack client: `openstack server plan rebuild`, `openstack server undo rebuild` and
`openstack server ssh host key list`.

The client finds them by this package's entry points (openstack.compute.v2) where both are installed.
"""

import argparse
import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from openstack import exceptions as sdk_exceptions
from openstackclient import command
from osc_lib import exceptions, utils
from osc_lib.cli import parseractions


class PlanRebuild(command.ShowOne):
    """Show what a rebuild of a server would keep, replace and lose; nothing is done"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="<server>", help="Server (name or ID)")
        parser.add_argument(
            "--image", required=True, metavar="<image>", help="Image to rebuild to (name or ID)"
        )
        parser.add_argument("--name", metavar="<name>", help="New name of the server")
        parser.add_argument(
            "--property",
            metavar="<key=value>",
            action=parseractions.KeyValueAction,
            dest="properties",
            help="New metadata, in the place of all that there is (repeat the option for several)",
        )
        parser.add_argument("--key-name", metavar="<key-name>", help="New key pair")
        parser.add_argument("--user-data", metavar="<user-data>", type=Path, help="File with new user data")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        clients = self.app.client_manager
        server = clients.compute.find_server(parsed_args.server, ignore_missing=False)
        image = clients.image.find_image(parsed_args.image, ignore_missing=False)
        asked = {
            "name": parsed_args.name,
            "metadata": parsed_args.properties,
            "key_name": parsed_args.key_name,
            "user_data": _encoded(parsed_args.user_data),
        }
        body = {name: value for name, value in asked.items() if value is not None} | {"imageRef": image.id}
        plan = _act(clients.compute, server.id, "planRebuild", body, USER_DATA_SINCE).json()["plan"]
        return tuple(plan), tuple(_told(value) for value in plan.values())


class UndoRebuild(command.Command):
    """Bring the system back that a server had before its last rebuild"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="<server>", help="Server (name or ID)")
        parser.add_argument("--wait", action="store_true", help="Wait until it is done")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        compute = self.app.client_manager.compute
        server = compute.find_server(parsed_args.server, ignore_missing=False)
        _act(compute, server.id, "undoRebuild", None)
        if not parsed_args.wait:
            return
        if not utils.wait_for_status(
            compute.get_server,
            server.id,
            success_status=["active", "shutoff"],
            callback=self._show_progress,
        ):
            raise exceptions.CommandError(f"Error undoing the rebuild of server {server.id}")
        self.app.stdout.write("Complete\n")

    def _show_progress(self, progress: int | None) -> None:
        if progress:
            self.app.stdout.write(f"\rProgress: {progress}")
            self.app.stdout.flush()


class ListSshHostKeys(command.Lister):
    """List the SSH host keys of a server's system, as its console shows them"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="<server>", help="Server (name or ID)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        compute = self.app.client_manager.compute
        server = compute.find_server(parsed_args.server, ignore_missing=False)
        answer = compute.get(f"/servers/{server.id}/ssh-host-keys")
        sdk_exceptions.raise_from_response(answer)
        keys = answer.json()["ssh_host_keys"]
        rows = [(key["type"], key["fingerprint"], key["public_key"] or "") for key in keys]
        return ("Type", "Fingerprint", "Public Key"), rows


# The first microversion whose rebuild takes all that can be said here.
USER_DATA_SINCE = "2.57"


def _act(compute: Any, server_id: str, name: str, body: Any, microversion: str | None = None) -> Any:
    answer = compute.post(f"/servers/{server_id}/action", json={name: body}, microversion=microversion)
    sdk_exceptions.raise_from_response(answer)
    return answer


def _encoded(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return base64.b64encode(file.read_bytes()).decode()
    except OSError as error:
        raise exceptions.CommandError(f"Can't open '{file}': {error}") from error


def _told(value: Any) -> Any:
    """A part of the plan in a cell: one line for each thing of a list."""
    if isinstance(value, list):
        return "\n".join(_told(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(
            f"{name}={item if isinstance(item, str) else json.dumps(item)}" for name, item in value.items()
        )
    return value
