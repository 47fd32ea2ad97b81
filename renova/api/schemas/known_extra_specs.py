"""The extra specs that Nova knows, and the values that they take: what it validates from 2.86 on.

A name without a namespace, or of a namespace that Nova does not know, may have any value. Source: Nova's
configuration guide, "Extra Specs". Resource classes and traits are those of the libraries that Nova asks too.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

import os_resource_classes
import os_traits
from oslo_utils import strutils

from renova.errors import Invalid


@dataclass(frozen=True)
class Text:
    """A text of this form, or one of these; any text where there is neither."""

    form: str | None = None
    choices: Collection[str] = ()

    def fault(self, value: str) -> str | None:
        if self.form is not None and not re.fullmatch(self.form, value):
            return f"'{value}' is not of the format '{self.form}'."
        if self.choices and value not in self.choices:
            return f"'{value}' is not one of: {', '.join(self.choices)}."
        return None


@dataclass(frozen=True)
class Integer:
    least: int | None = None
    most: int | None = None

    def fault(self, value: str) -> str | None:
        try:
            number = int(value)
        except ValueError:
            return f"'{value}' is not a valid integer value."
        if self.most is not None and number > self.most:
            return f"'{value}' is greater than the max value of '{self.most}'."
        if self.least is not None and number < self.least:
            return f"'{value}' is less than the min value of '{self.least}'."
        return None


@dataclass(frozen=True)
class Switch:
    def fault(self, value: str) -> str | None:
        try:
            strutils.bool_from_string(value, strict=True)
        except ValueError:
            return f"'{value}' is not a valid boolean-like value."
        return None


def one_of(*choices: str) -> Text:
    return Text(choices=choices)


ANY, COUNT, POSITIVE = Text(), Integer(least=0), Integer(least=1)
# Of Nova's own pattern the same texts, told in a way that takes no more time for a longer one that is wrong.
_CPUS = r"\^?\d+(-\d+|,\^?\d+)*"
_WORDS = "[a-zA-Z0-9_]+(,[a-zA-Z0-9_]+)*,?"
_GROUP = "([a-zA-Z0-9_-]{1,64})?"
_CAPABILITIES = (
    *("id", "uuid", "service_id", "host", "vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used"),
    *("local_gb_used", "hypervisor_type", "hypervisor_version", "hypervisor_hostname", "free_ram_mb"),
    *("free_disk_gb", "current_workload", "running_vms", "disk_available_least", "host_ip", "mapped"),
    *("cpu_allocation_ratio", "ram_allocation_ratio", "disk_allocation_ratio", "total_usable_ram_mb"),
    *("total_usable_disk_gb", "disk_mb_used", "free_disk_mb", "vcpus_total", "num_instances", "num_io_ops"),
    *("failed_builds", "aggregates", "cell_uuid", "updated"),
)
_NESTED_CAPABILITIES = (
    *("cpu_info", "metrics", "stats", "numa_topology", "supported_hv_specs", "pci_device_pools"),
    *("nodename", "pci_stats", "supported_instances", "limits", "instances"),
)

# By the form of the whole name.
KNOWN: dict[str, Text | Integer | Switch] = {
    "hide_hypervisor_id": Switch(),
    "group_policy": one_of("isolate", "none"),
    "accel:device_profile": ANY,
    "aggregate_instance_extra_specs:.+": ANY,
    **{f"capabilities:{name}": ANY for name in _CAPABILITIES},
    **{rf"capabilities:{name}(:\w+)*": ANY for name in _NESTED_CAPABILITIES},
    **{
        f"hw:{name}": Switch()
        for name in (
            *("cpu_realtime", "hide_hypervisor_id", "locked_memory", "boot_menu", "vif_multiqueue_enabled"),
            *("mem_encryption", "pmu", "virtio_packed_ring", "ephemeral_encryption"),
        )
    },
    **{
        f"hw:{name}": POSITIVE
        for name in (
            *("numa_nodes", r"numa_mem.\d+", "cpu_sockets", "cpu_cores", "cpu_threads"),
            *("cpu_max_sockets", "cpu_max_cores", "cpu_max_threads"),
        )
    },
    **{f"hw:{name}": Text(_CPUS) for name in ("cpu_realtime_mask", "cpu_dedicated_mask", r"numa_cpus.\d+")},
    "hw:cpu_policy": one_of("dedicated", "shared", "mixed"),
    "hw:cpu_thread_policy": one_of("prefer", "isolate", "require"),
    "hw:emulator_threads_policy": one_of("isolate", "share"),
    "hw:mem_page_size": Text(r"(large|small|any|\d+([kKMGT]i?)?(b|bit|B)?)"),
    "hw:pci_numa_affinity_policy": one_of("required", "preferred", "legacy", "socket"),
    "hw:mem_encryption_model": one_of("amd-sev", "amd-sev-es", "amd-sev-snp"),
    "hw:pmem": Text(_WORDS),
    "hw:serial_port_count": COUNT,
    "hw:tpm_model": one_of("tpm-tis", "tpm-crb"),
    "hw:tpm_version": one_of("1.2", "2.0"),
    "hw:tpm_secret_security": one_of("user", "host", "deployment"),
    "hw:watchdog_action": one_of("none", "pause", "poweroff", "reset", "disabled"),
    "hw:viommu_model": one_of("intel", "smmuv3", "virtio", "auto"),
    "hw:sound_model": one_of("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio"),
    "hw:usb_model": one_of("none", "nec-xhci", "qemu-xhci"),
    "hw:redirected_usb_ports": Integer(least=0, most=15),
    "hw:ephemeral_encryption_format": one_of("plain", "luks", "luksv2"),
    "hw_rng:allowed": Switch(),
    "hw_rng:rate_(bytes|period)": COUNT,
    "hw_video:ram_max_mb": COUNT,
    "os:secure_boot": one_of("disabled", "required"),
    "pci_passthrough:alias": Text(r"[^:]+:\d+(?:\s*,\s*[^:]+:\d+)*"),
    "quota:(cpu|memory|disk_io|vif)_(limit|shares_share)": COUNT,
    "quota:(cpu|memory|disk_io|vif)_reservation": Integer(),
    "quota:(cpu|memory|disk_io|vif)_shares_level": one_of("custom", "high", "normal", "low"),
    "quota:cpu_(shares|period)": COUNT,
    "quota:cpu_quota": Integer(),
    "quota:disk_(read|write|total)_(bytes|iops)_sec": COUNT,
    "quota:vif_(inbound|outbound)_(average|peak|burst)": COUNT,
    f"resources{_GROUP}:({'|'.join(os_resource_classes.STANDARDS)}|CUSTOM_[A-Z0-9_]+)": Integer(),
    f"trait{_GROUP}:({'|'.join(os_traits.get_traits())}|CUSTOM_[A-Z0-9_]+)": one_of("required", "forbidden"),
    "vmware:(hw_version|storage_policy)": ANY,
}
_NAMESPACES = [form.partition(":")[0] for form in KNOWN if ":" in form]


def check(name: str, value: str) -> None:
    """Raises Invalid for a value that a known extra spec does not take, and for an unknown one of a namespace
    of Nova's.
    """
    for form, kind in KNOWN.items():
        if re.fullmatch(form, name):
            if fault := kind.fault(value):
                raise Invalid(f"Validation failed; {fault}")
            return
    namespace, colon, _ = name.partition(":")
    if colon and any(re.fullmatch(known, namespace) for known in _NAMESPACES):
        raise Invalid(f"Validation failed; extra spec '{name}' does not appear to be a valid extra spec.")
