"""Every option of Renova, registered on a ConfigOpts that is passed in and never global.

`renova up` writes STATE/renova.conf; an operator of a larger cloud writes one by hand. Both are read here.
"""

import socket
from pathlib import Path

from keystoneauth1 import loading
from oslo_config import cfg

DEFAULT = [
    cfg.StrOpt("host", default=socket.gethostname(), help="Name of this host in the services table."),
    cfg.StrOpt("state_path", default="/var/lib/renova", help="Where an agent keeps disks and base images."),
    cfg.StrOpt(
        "run_path",
        default="/run/renova",
        help="Where an agent keeps sockets. A unix socket's path is at most 108 bytes, so keep it short.",
    ),
    cfg.BoolOpt("debug", default=False, help="Log what helps a developer."),
]
API = [
    cfg.StrOpt("listen", default="127.0.0.1", help="Address of the API."),
    cfg.PortOpt("port", default=8774, help="Port of the API."),
    cfg.URIOpt("public_endpoint", help="What links begin with, where a proxy stands in front."),
    cfg.IntOpt("max_limit", default=1000, min=1, help="Most rows of one page of a list."),
    cfg.IntOpt("max_request_body_size", default=114688, min=1, help="Most bytes of a request; more is 413."),
]
DATABASE = [cfg.StrOpt("connection", secret=True, help="postgresql+psycopg://user:password@/db?host=…")]
COMPUTE = [
    cfg.StrOpt("profile", default="noa", choices=["noa", "nova"], help="Whose contract a rebuild follows."),
    cfg.StrOpt(
        "accelerator",
        default="auto",
        choices=["auto", "kvm", "tcg"],
        help="How QEMU runs guests; auto is the one under which a boot sector spoke first.",
    ),
    cfg.StrOpt("qemu", default="qemu-system-x86_64", help="The QEMU program."),
    cfg.StrOpt("qemu_user", help="Unprivileged user that QEMU runs as, when the agent is root."),
    cfg.IntOpt("shutdown_timeout", default=60, min=0, help="Seconds that a guest has to power itself off."),
    cfg.IntOpt("concurrency", default=4, min=1, help="Servers that one agent creates or rebuilds at once."),
]
AGENT = [
    cfg.StrOpt(
        "secret",
        secret=True,
        help="What the API proves itself to agents with: the same in both files, 32 characters at least.",
    ),
    cfg.IntOpt(
        "reserve_mb",
        default=1024,
        min=0,
        help="MiB of the state directory's file system that no new disk or image is to take.",
    ),
]
NETWORK = [
    cfg.StrOpt(
        "mode",
        default="auto",
        choices=["auto", "bridge", "user"],
        help="How guests are connected: a bridge of the host's (needs root), or QEMU's user network.",
    ),
    cfg.BoolOpt(
        "user_outbound",
        default=False,
        help="Let guests on a user network out: to the host's own loopback services too.",
    ),
]
REBUILD = [
    cfg.StrOpt(
        "method",
        default="auto",
        choices=["auto", "respawn"],
        help="How a running server changes its system: auto exchanges the disks under its QEMU where that is "
        "possible; respawn always starts a new QEMU, whose memory is empty.",
    ),
    cfg.IntOpt(
        "keep_previous",
        default=24,
        min=0,
        help="Hours that the system before a rebuild is kept for undoRebuild; 0 keeps none.",
    ),
    cfg.StrOpt(
        "on_failure",
        default="restore",
        choices=["restore", "error"],
        help="What a server is whose rebuild failed and whose old system runs again: restore is what it was "
        "before; error is ERROR, for clients that look only at the status.",
    ),
    cfg.IntOpt(
        "settle",
        default=5,
        min=0,
        help="Seconds after which a guest without an agent must have stopped resetting to count as alive.",
    ),
    cfg.IntOpt(
        "agent_timeout",
        default=300,
        min=1,
        help="Seconds that a guest of an image with hw_qemu_guest_agent=yes has to answer.",
    ),
]
QUOTA = [
    cfg.IntOpt("instances", default=10, min=-1, help="Servers per project; -1 is no limit."),
    cfg.IntOpt("cores", default=20, min=-1, help="Virtual CPUs per project; -1 is no limit."),
    cfg.IntOpt("ram", default=51200, min=-1, help="MiB of memory per project; -1 is no limit."),
    cfg.IntOpt("metadata_items", default=128, min=-1, help="Metadata items per server; -1 is no limit."),
    cfg.IntOpt("key_pairs", default=100, min=-1, help="Key pairs per user; -1 is no limit."),
]
SERVICE_USER = "keystone_authtoken"
# What keystonemiddleware calls so too: whoever has a service user and checks no tokens does without the rest.
KEYSTONE = [
    cfg.StrOpt("cafile", help="Certificates of who vouches for the cloud's services."),
    cfg.BoolOpt("insecure", default=False, help="Check no certificates."),
    cfg.StrOpt("interface", default="internal", help="Which addresses of the catalogue are asked first."),
    cfg.StrOpt("region_name", help="Region of the catalogue."),
]


def load(files: list[Path], *, checks_tokens: bool = True) -> cfg.ConfigOpts:
    """Read configuration files. Raises oslo_config.cfg.Error with a sentence that names the option or the
    file.

    Without `checks_tokens` keystonemiddleware stays away, which is 5 MiB of an agent that is always there.
    """
    conf = cfg.ConfigOpts()
    conf.register_opts(DEFAULT)
    for group, options in {
        "api": API,
        "database": DATABASE,
        "compute": COMPUTE,
        "agent": AGENT,
        "network": NETWORK,
        "rebuild": REBUILD,
        "quota": QUOTA,
    }.items():
        conf.register_opts(options, group=group)
    if checks_tokens:
        # The module that oslo-config-generator reads.
        from keystonemiddleware.auth_token import _opts as auth_token_opts

        for group, options in auth_token_opts.list_opts():
            conf.register_opts(options, group=group)
    else:
        conf.register_opts(KEYSTONE, group=SERVICE_USER)
    loading.register_auth_conf_options(conf, SERVICE_USER)
    conf([], project="renova", default_config_files=[str(file) for file in files])
    return conf
