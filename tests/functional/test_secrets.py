"""What nobody may read: not in any log of a running cloud, nor in the rows that tell what was done."""

import base64
from contextlib import suppress
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.functional.cloud_client import Client
from tests.guest.boot_sector import Then

PASSWORD, SCRIPT, VALUE = "n0-one's bu5iness", "#!/bin/sh\n# a secret of user data\n", "a secret of metadata"
SERVICES = ("postgres", "keystone", "glance", "api", "agent")


def test_no_log_and_no_job_has_a_secret_of_a_request(client: Client) -> None:
    """Requests that succeed, that fail on the host, and that are refused."""
    image = client.image("of secrets", Then.OBEY)
    server_id = client.new(image)
    user_data = base64.b64encode(SCRIPT.encode()).decode()
    secret = {"adminPass": PASSWORD, "user_data": user_data, "metadata": {"token": VALUE}}
    assert client.act(server_id, "rebuild", {"imageRef": image, **secret}).status_code == 202
    client.wait(server_id, "ACTIVE")
    broken = client.image("tampered with", Then.OBEY)
    (stored,) = (client.cloud.state.path / "glance").rglob(broken)
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    assert client.act(server_id, "rebuild", {"imageRef": broken, **secret}).status_code == 202
    client.wait(server_id, "ACTIVE")
    assert client.act(server_id, "rebuild", {"imageRef": image, "name": "", **secret}).status_code == 400
    state = client.cloud.state
    token = client.http.headers["X-Auth-Token"]
    secrets = {PASSWORD, user_data, SCRIPT, VALUE, token, state.password("renova"), state.password("agent")}
    for service in SERVICES:
        log = client.cloud.log(service)
        assert not [secret for secret in secrets if secret in log], service
    engine = create_engine(state.database_url("renova", "psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        for table in ("actions", "events", "procrastinate_jobs", "procrastinate_events", "services"):
            rows = "\n".join(connection.scalars(text(f"SELECT t::text FROM {table} t")))
            assert not [secret for secret in secrets if secret in rows], table
    assert not [secret for secret in secrets if secret in arguments_of_all_processes()]


def arguments_of_all_processes() -> str:
    """What any user of the host can list."""
    arguments = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments.append((process / "cmdline").read_bytes().decode(errors="replace"))
    return "\n".join(arguments)
