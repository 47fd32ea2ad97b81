"""The tables as Renova 0.1.0 has them, Procrastinate's beside them, and a first network and flavors.

Written out, not made from renova.db.tables: what a revision does must not change when the tables do.
"""

import procrastinate.schema
from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    column,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

TEXT, TIME, NOW = Text(), DateTime(timezone=True), text("now()")
NETWORK_ID = "5b3f0f6e-3f0c-4d0e-9a39-6d1f4d3f9c10"
# id, name, vcpus, ram in MiB, disk in GiB
FLAVORS = [
    ("1", "m1.nano", 1, 128, 1),
    ("2", "m1.tiny", 1, 256, 1),
    ("3", "m1.small", 1, 512, 5),
    ("4", "m1.medium", 2, 2048, 20),
]


def upgrade() -> None:
    _create_tables()
    # The schema is many statements with bare percent signs, so it goes to the driver as it is.
    driver_connection = op.get_bind().connection.driver_connection
    assert driver_connection is not None
    driver_connection.execute(procrastinate.schema.SchemaManager.get_schema())
    networks = table("networks", column("id"), column("label"), column("cidr"))
    op.bulk_insert(networks, [{"id": NETWORK_ID, "label": "private", "cidr": "10.77.0.0/16"}])
    names = ("id", "name", "vcpus", "ram", "disk")
    flavors = table("flavors", *(column(name) for name in names))
    op.bulk_insert(flavors, [dict(zip(names, flavor, strict=True)) for flavor in FLAVORS])


def _create_tables() -> None:
    op.create_table(
        "cached_images",
        Column("host", TEXT, nullable=False),
        Column("digest", TEXT, nullable=False),
        Column("disk_format", TEXT, nullable=False),
        Column("size", BigInteger(), nullable=False),
        Column("virtual_size", BigInteger(), nullable=False),
        Column("fetched_at", TIME, server_default=NOW, nullable=False),
        Column("used_at", TIME, server_default=NOW, nullable=False),
        PrimaryKeyConstraint("host", "digest"),
    )
    op.create_table(
        "flavors",
        Column("id", TEXT, nullable=False),
        Column("name", TEXT, nullable=False),
        Column("description", TEXT, nullable=True),
        Column("vcpus", Integer(), nullable=False),
        Column("ram", Integer(), nullable=False),
        Column("disk", Integer(), nullable=False),
        Column("ephemeral", Integer(), server_default="0", nullable=False),
        Column("swap", Integer(), server_default="0", nullable=False),
        Column("rxtx_factor", Double(), server_default="1", nullable=False),
        Column("is_public", Boolean(), nullable=False, server_default=text("true")),
        Column("disabled", Boolean(), nullable=False, server_default=text("false")),
        Column("extra_specs", JSONB, nullable=False, server_default=text("'{}'")),
        Column("created_at", TIME, server_default=NOW, nullable=False),
        Column("updated_at", TIME, nullable=True),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("name"),
    )
    op.create_table(
        "key_pairs",
        Column("id", Integer(), nullable=False),
        Column("user_id", TEXT, nullable=False),
        Column("name", TEXT, nullable=False),
        Column("type", TEXT, server_default="ssh", nullable=False),
        Column("public_key", TEXT, nullable=False),
        Column("fingerprint", TEXT, nullable=False),
        Column("created_at", TIME, server_default=NOW, nullable=False),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("user_id", "name"),
    )
    op.create_table(
        "networks",
        Column("id", TEXT, nullable=False),
        Column("label", TEXT, nullable=False),
        Column("cidr", TEXT, nullable=False),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("label"),
    )
    op.create_table(
        "server_groups",
        Column("id", TEXT, nullable=False),
        Column("project_id", TEXT, nullable=False),
        Column("user_id", TEXT, nullable=False),
        Column("name", TEXT, nullable=False),
        Column("policy", TEXT, nullable=False),
        Column("max_server_per_host", Integer(), nullable=True),
        Column("created_at", TIME, server_default=NOW, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_server_groups_project_id", "server_groups", ["project_id"])
    op.create_table(
        "servers",
        Column("id", TEXT, nullable=False),
        Column("project_id", TEXT, nullable=False),
        Column("user_id", TEXT, nullable=False),
        Column("vm_state", TEXT, nullable=False),
        Column("task_state", TEXT, nullable=True),
        Column("power_state", Integer(), server_default="0", nullable=False),
        Column("progress", Integer(), server_default="0", nullable=False),
        Column("host", TEXT, nullable=False),
        Column("generation", Integer(), server_default="1", nullable=False, comment="the one that runs"),
        Column(
            "generations_made",
            Integer(),
            server_default="1",
            nullable=False,
            comment="no number is used twice",
        ),
        Column("flavor", JSONB, nullable=False, comment="the flavor as it was when the server got it"),
        Column("tags", JSONB, nullable=False, server_default=text("'[]'")),
        Column("config_drive", Boolean(), nullable=False, server_default=text("false")),
        Column("availability_zone", TEXT, server_default="nova", nullable=False),
        Column("pinned_availability_zone", TEXT, nullable=True, comment="the zone that was asked for"),
        Column("scheduler_hints", JSONB, nullable=False, server_default=text("'{}'")),
        Column("server_group_id", TEXT, nullable=True),
        Column("reservation_id", TEXT, nullable=False),
        Column("launch_index", Integer(), server_default="0", nullable=False),
        Column("locked_by", TEXT, nullable=True, comment="'owner' or 'admin'; null is not locked"),
        Column("locked_reason", TEXT, nullable=True),
        Column("charging_mode", TEXT, server_default="0", nullable=False),
        Column("fault", JSONB, nullable=True),
        Column("created_at", TIME, server_default=NOW, nullable=False),
        Column("updated_at", TIME, server_default=NOW, nullable=False),
        Column("launched_at", TIME, nullable=True),
        Column("terminated_at", TIME, nullable=True),
        Column("deleted_at", TIME, nullable=True),
        Column("name", TEXT, nullable=False),
        Column("hostname", TEXT, nullable=False),
        Column("description", TEXT, nullable=True),
        Column("image_id", TEXT, nullable=False),
        Column("image_properties", JSONB, nullable=False, server_default=text("'{}'")),
        Column("metadata", JSONB, nullable=False, server_default=text("'{}'")),
        Column("key_name", TEXT, nullable=True),
        Column("key_text", TEXT, nullable=True, comment="the public key, kept when the key pair is deleted"),
        Column("user_data", TEXT, nullable=True, comment="as sent, base64"),
        Column("personality", JSONB, nullable=False, server_default=text("'[]'")),
        Column("disk_config", TEXT, server_default="MANUAL", nullable=False),
        Column("access_ip_v4", TEXT, nullable=True),
        Column("access_ip_v6", TEXT, nullable=True),
        Column(
            "trusted_image_certificates",
            JSONB,
            nullable=True,
            comment="kept and shown; nothing here validates signatures",
        ),
        ForeignKeyConstraint(["server_group_id"], ["server_groups.id"], ondelete="SET NULL"),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_servers_server_group_id", "servers", ["server_group_id"])
    op.create_index("servers_by_host", "servers", ["host"], postgresql_where=text("deleted_at IS NULL"))
    op.create_index("servers_by_project", "servers", ["project_id", "created_at", "id"])
    op.create_table(
        "flavor_projects",
        Column("flavor_id", TEXT, nullable=False),
        Column("project_id", TEXT, nullable=False),
        ForeignKeyConstraint(["flavor_id"], ["flavors.id"], ondelete="CASCADE"),
        PrimaryKeyConstraint("flavor_id", "project_id"),
    )
    op.create_table(
        "quotas",
        Column("project_id", TEXT, nullable=False),
        Column("resource", TEXT, nullable=False),
        Column("limit", Integer(), nullable=False),
        PrimaryKeyConstraint("project_id", "resource"),
    )
    op.create_table(
        "services",
        Column("host", TEXT, nullable=False),
        Column("binary", TEXT, nullable=False),
        Column("version", TEXT, nullable=False),
        Column(
            "address",
            TEXT,
            nullable=False,
            comment="unix:/path or https://host:port of the agent's own socket",
        ),
        Column(
            "architecture",
            TEXT,
            nullable=False,
            comment="what guests of this host run on, as uname -m says it",
        ),
        Column("started_at", TIME, nullable=False),
        Column("seen_at", TIME, nullable=False),
        PrimaryKeyConstraint("host", "binary"),
    )
    op.create_table(
        "actions",
        Column("id", TEXT, nullable=False),
        Column("server_id", TEXT, nullable=False),
        Column("action", TEXT, nullable=False),
        Column("request_id", TEXT, nullable=False),
        Column("user_id", TEXT, nullable=False),
        Column("project_id", TEXT, nullable=False),
        Column("host", TEXT, nullable=False),
        Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
        Column("failed_step", TEXT, nullable=True),
        Column("settled_at", TIME, nullable=True),
        Column("message", TEXT, nullable=True),
        Column("started_at", TIME, server_default=NOW, nullable=False),
        Column("updated_at", TIME, server_default=NOW, nullable=False),
        Column("finished_at", TIME, nullable=True),
        ForeignKeyConstraint(["server_id"], ["servers.id"]),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("server_id", "request_id"),
    )
    op.create_index("actions_open", "actions", ["host"], postgresql_where=text("finished_at IS NULL"))
    op.create_index("ix_actions_server_id", "actions", ["server_id"])
    op.create_table(
        "generations",
        Column("server_id", TEXT, nullable=False),
        Column("number", Integer(), nullable=False),
        Column("digest", TEXT, nullable=False, comment="algorithm:hex of the image's bytes, as Glance says"),
        Column("disk_format", TEXT, nullable=False, comment="qcow2 or raw, as declared and then seen"),
        Column("size", BigInteger(), nullable=False, comment="bytes of the image file"),
        Column("virtual_size", BigInteger(), nullable=True, comment="bytes of the root disk, once made"),
        Column("created_at", TIME, server_default=NOW, nullable=False),
        Column("prepared_at", TIME, nullable=True),
        Column("name", TEXT, nullable=False),
        Column("hostname", TEXT, nullable=False),
        Column("description", TEXT, nullable=True),
        Column("image_id", TEXT, nullable=False),
        Column("image_properties", JSONB, nullable=False, server_default=text("'{}'")),
        Column("metadata", JSONB, nullable=False, server_default=text("'{}'")),
        Column("key_name", TEXT, nullable=True),
        Column("key_text", TEXT, nullable=True, comment="the public key, kept when the key pair is deleted"),
        Column("user_data", TEXT, nullable=True, comment="as sent, base64"),
        Column("personality", JSONB, nullable=False, server_default=text("'[]'")),
        Column("disk_config", TEXT, server_default="MANUAL", nullable=False),
        Column("access_ip_v4", TEXT, nullable=True),
        Column("access_ip_v6", TEXT, nullable=True),
        Column(
            "trusted_image_certificates",
            JSONB,
            nullable=True,
            comment="kept and shown; nothing here validates signatures",
        ),
        ForeignKeyConstraint(["server_id"], ["servers.id"]),
        PrimaryKeyConstraint("server_id", "number"),
    )
    op.create_index("ix_generations_digest", "generations", ["digest"])
    op.create_table(
        "ports",
        Column("id", TEXT, nullable=False),
        Column("server_id", TEXT, nullable=False),
        Column("network_id", TEXT, nullable=False),
        Column("position", Integer(), server_default="0", nullable=False),
        Column("mac", TEXT, nullable=False),
        Column("address", TEXT, nullable=False),
        ForeignKeyConstraint(["network_id"], ["networks.id"]),
        ForeignKeyConstraint(["server_id"], ["servers.id"]),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("mac"),
        UniqueConstraint("network_id", "address"),
    )
    op.create_index("ix_ports_server_id", "ports", ["server_id"])
    op.create_table(
        "events",
        Column("id", Integer(), nullable=False),
        Column("action_id", TEXT, nullable=False),
        Column("name", TEXT, nullable=False),
        Column("host", TEXT, nullable=False),
        Column("started_at", TIME, server_default=NOW, nullable=False),
        Column("finished_at", TIME, nullable=True),
        Column("result", TEXT, nullable=True),
        Column("details", TEXT, nullable=True, comment="one line that a user may read"),
        Column("traceback", TEXT, nullable=True, comment="for admins"),
        ForeignKeyConstraint(["action_id"], ["actions.id"], ondelete="CASCADE"),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("action_id", "name"),
    )
