"""Every table of Renova, one class each.

Times are stored with their zone, ids of servers, images and actions as their canonical text. What a
client may name freely (metadata, tags, image properties) is JSONB on the row that owns it, so that a list
of servers is one query.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, Table, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship


class Base(DeclarativeBase):
    __table__: ClassVar[Table]
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        dict[str, str]: JSONB,
        list[str]: JSONB,
    }


class Flavor(Base):
    """A size of server. Sizes: ram in MiB, disk and ephemeral in GiB, swap in MiB."""

    __tablename__ = "flavors"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]
    vcpus: Mapped[int]
    ram: Mapped[int]
    disk: Mapped[int]
    ephemeral: Mapped[int] = mapped_column(server_default="0")
    swap: Mapped[int] = mapped_column(server_default="0")
    rxtx_factor: Mapped[float] = mapped_column(server_default="1")
    is_public: Mapped[bool] = mapped_column(server_default=text("true"))
    disabled: Mapped[bool] = mapped_column(server_default=text("false"))
    extra_specs: Mapped[dict[str, str]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime | None]


class FlavorProject(Base):
    """A project that may use a flavor which is not public."""

    __tablename__ = "flavor_projects"

    flavor_id: Mapped[str] = mapped_column(ForeignKey("flavors.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[str] = mapped_column(primary_key=True)


class KeyPair(Base):
    """A public key that a user may put into a server. Private keys are never stored."""

    __tablename__ = "key_pairs"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    name: Mapped[str]
    type: Mapped[str] = mapped_column(server_default="ssh")
    public_key: Mapped[str]
    fingerprint: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Network(Base):
    """A network that ports are made on. Its label is the key of `addresses` in the API."""

    __tablename__ = "networks"

    id: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(unique=True)
    cidr: Mapped[str]
    chosen_by: Mapped[str | None] = mapped_column(comment="the host whose routes left this range free")


class Quota(Base):
    """What an admin gave a project instead of a default of `[quota]`; -1 is no limit."""

    __tablename__ = "quotas"

    project_id: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(primary_key=True)
    limit: Mapped[int]


class Service(Base):
    """A program that reports to the database: one row per host and binary."""

    __tablename__ = "services"

    host: Mapped[str] = mapped_column(primary_key=True)
    binary: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str]
    address: Mapped[str] = mapped_column(comment="unix:/path or https://host:port of the agent's own socket")
    architecture: Mapped[str] = mapped_column(comment="what guests of this host run on, as uname -m says it")
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class ServerGroup(Base):
    """Servers that are to run on one host (affinity) or on several; each project has its own."""

    __tablename__ = "server_groups"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[str]
    name: Mapped[str]
    policy: Mapped[str]
    max_server_per_host: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class System:
    """What a rebuild may change of a server: columns that a server and each of its generations share.

    A server's row holds what was asked for last; a generation's row holds what the server had with that
    generation, so that going back to it needs neither the key pair nor the image to exist any more.
    """

    name: Mapped[str]
    hostname: Mapped[str]
    description: Mapped[str | None]
    image_id: Mapped[str]
    image_properties: Mapped[dict[str, str]] = mapped_column(server_default=text("'{}'"))
    meta: Mapped[dict[str, str]] = mapped_column("metadata", server_default=text("'{}'"))
    key_name: Mapped[str | None]
    key_text: Mapped[str | None] = mapped_column(comment="the public key, kept when the key pair is deleted")
    user_data: Mapped[str | None] = mapped_column(comment="as sent, base64")
    personality: Mapped[list[dict[str, str]]] = mapped_column(JSONB, server_default=text("'[]'"))
    disk_config: Mapped[str] = mapped_column(server_default="MANUAL")
    access_ip_v4: Mapped[str | None]
    access_ip_v6: Mapped[str | None]
    trusted_image_certificates: Mapped[list[str] | None] = mapped_column(
        comment="kept and shown; nothing here validates signatures"
    )


class Server(System, Base):
    """A server as its owner sees it.

    The row holds what was asked for; what runs is decided by `generation` alone, whose row in
    `generations` says what its disks were made from.
    """

    __tablename__ = "servers"
    __table_args__ = (
        Index("servers_by_project", "project_id", "created_at", "id"),
        Index("servers_by_host", "host", postgresql_where=text("deleted_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str]
    user_id: Mapped[str]
    vm_state: Mapped[str]
    task_state: Mapped[str | None]
    power_state: Mapped[int] = mapped_column(server_default="0")
    progress: Mapped[int] = mapped_column(server_default="0")
    host: Mapped[str]
    generation: Mapped[int] = mapped_column(server_default="1", comment="the one that runs")
    generations_made: Mapped[int] = mapped_column(server_default="1", comment="no number is used twice")
    flavor: Mapped[dict[str, Any]] = mapped_column(comment="the flavor as it was when the server got it")
    tags: Mapped[list[str]] = mapped_column(server_default=text("'[]'"))
    config_drive: Mapped[bool] = mapped_column(server_default=text("false"))
    availability_zone: Mapped[str] = mapped_column(server_default="nova")
    pinned_availability_zone: Mapped[str | None] = mapped_column(comment="the zone that was asked for")
    scheduler_hints: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    server_group_id: Mapped[str | None] = mapped_column(
        ForeignKey("server_groups.id", ondelete="SET NULL"), index=True
    )
    reservation_id: Mapped[str]
    launch_index: Mapped[int] = mapped_column(server_default="0")
    locked_by: Mapped[str | None] = mapped_column(comment="'owner' or 'admin'; null is not locked")
    locked: Mapped[bool] = column_property(locked_by.is_not(None))
    locked_reason: Mapped[str | None]
    charging_mode: Mapped[str] = mapped_column(server_default="0")
    fault: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    launched_at: Mapped[datetime | None]
    terminated_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    ports: Mapped[list["Port"]] = relationship(lazy="raise", order_by="Port.position")
    generations: Mapped[list["Generation"]] = relationship(lazy="raise", order_by="Generation.number")


class Port(Base):
    """A network card of a server: kept by every rebuild."""

    __tablename__ = "ports"
    __table_args__ = (UniqueConstraint("network_id", "address"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"), index=True)
    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"))
    position: Mapped[int] = mapped_column(server_default="0")
    mac: Mapped[str] = mapped_column(unique=True)
    address: Mapped[str]
    ssh_port: Mapped[int | None] = mapped_column(
        comment="of the host's loopback, forwarded to the guest's port 22; null on a bridge"
    )

    network: Mapped[Network] = relationship(lazy="raise")


class Generation(System, Base):
    """One operating system of a server: what its root disk and config drive were made from.

    `digest` pins the cached base image. `prepared_at` is the durable mark that the files are whole: it is
    taken away before they are removed. `superseded_at` is set while the generation is the one before.
    """

    __tablename__ = "generations"

    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(
        index=True, comment="algorithm:hex of the image's bytes, as Glance says"
    )
    disk_format: Mapped[str] = mapped_column(comment="qcow2 or raw, as declared and then seen")
    size: Mapped[int] = mapped_column(BigInteger, comment="bytes of the image file")
    virtual_size: Mapped[int | None] = mapped_column(BigInteger, comment="bytes of the root disk, once made")
    ephemeral_generation: Mapped[int | None] = mapped_column(
        comment="the generation that made its ephemeral disk; null where it has none"
    )
    admin_pass: Mapped[str | None] = mapped_column(
        deferred=True, comment="adminPass, a secret: until the action that is to set it has ended"
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    prepared_at: Mapped[datetime | None]
    superseded_at: Mapped[datetime | None] = mapped_column(
        comment="since when it is only kept for going back to it"
    )


class Action(Base):
    """Something that was asked of a server: os-instance-actions, the agent's memory and its queue in one.

    An action without `finished_at` is open: an agent of `host` carries it on, however often it is killed.
    `detail` holds what the steps need and no secret. Two durable marks: `failed_step`, "go backwards from
    here", and `settled_at`, "the server's row says how it ended, only tidying is left".
    """

    __tablename__ = "actions"
    __table_args__ = (
        Index("actions_open", "host", postgresql_where=text("finished_at IS NULL")),
        UniqueConstraint("server_id", "request_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"), index=True)
    action: Mapped[str]
    request_id: Mapped[str]
    user_id: Mapped[str]
    project_id: Mapped[str]
    host: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    failed_step: Mapped[str | None]
    settled_at: Mapped[datetime | None]
    message: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    events: Mapped[list["Event"]] = relationship(lazy="raise", order_by="Event.id")


class Event(Base):
    """One step of an action, as `server event show` lists it. `result` is 'Success' or 'Error'."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("action_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    action_id: Mapped[str] = mapped_column(ForeignKey("actions.id", ondelete="CASCADE"))
    name: Mapped[str]
    host: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    result: Mapped[str | None]
    details: Mapped[str | None] = mapped_column(comment="one line that a user may read")
    traceback: Mapped[str | None] = mapped_column(comment="for admins")


class CachedImage(Base):
    """A base image in one host's cache, by the hash of its content. A generation with its digest pins it."""

    __tablename__ = "cached_images"

    host: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    disk_format: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    virtual_size: Mapped[int] = mapped_column(BigInteger)
    fetched_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime] = mapped_column(server_default=func.now())
