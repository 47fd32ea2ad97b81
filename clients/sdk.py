"""openstacksdk does a server's life: sdk.py FIRST_IMAGE SECOND_IMAGE FLAVOR. Prints the server's id."""

import sys

import openstack


def main(first: str, second: str, flavor: str) -> None:
    compute = openstack.connect().compute
    server = compute.create_server(name="sdk", image_id=first, flavor_id=flavor, networks="auto")
    server = compute.wait_for_server(server)
    compute.rebuild_server(server, image=second)
    compute.wait_for_server(server)
    server = compute.get_server(server.id)
    if (server.status, server.image.id) != ("ACTIVE", second):
        sys.exit(f"The server is {server.status} on image {server.image.id}.")
    compute.delete_server(server)
    compute.wait_for_delete(server)
    sys.stdout.write(f"{server.id}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
