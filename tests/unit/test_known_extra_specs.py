"""What Nova validates of extra specs from 2.86 on. Source: Nova's configuration guide, "Extra Specs"."""

import pytest

from renova.api.schemas.known_extra_specs import check
from renova.errors import Invalid


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("anything", "goes"),
        ("mine:anything", "goes"),
        ("hw:cpu_policy", "dedicated"),
        ("hw:numa_cpus.0", "0-1,^3,5"),
        ("hw:mem_page_size", "2MB"),
        ("hw:boot_menu", "yes"),
        ("hw_rng:rate_bytes", "0"),
        ("quota:cpu_quota", "-1"),
        ("resources:VCPU", "2"),
        ("resources_NET1:CUSTOM_GOLD", "1"),
        ("trait:HW_CPU_X86_AVX2", "required"),
        ("trait1:CUSTOM_GOLD", "forbidden"),
        ("capabilities:cpu_info:features", "<in> avx2"),
        ("pci_passthrough:alias", "a1:2, b2:1"),
        ("aggregate_instance_extra_specs:ssd", "true"),
    ],
)
def test_taken(name: str, value: str) -> None:
    check(name, value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hw:cpu_policy", "sharrred", "'sharrred' is not one of: dedicated, shared, mixed."),
        ("hw:numa_nodes", "0", "'0' is less than the min value of '1'."),
        ("hw:numa_nodes", "foo", "'foo' is not a valid integer value."),
        ("hw:redirected_usb_ports", "16", "'16' is greater than the max value of '15'."),
        ("hw:boot_menu", "perhaps", "'perhaps' is not a valid boolean-like value."),
        ("hw:numa_cpus.0", "0" + ",1-1" * 50 + "x", "is not of the format"),
        ("hw:cpu_polciy", "shared", "extra spec 'hw:cpu_polciy' does not appear to be a valid extra spec."),
        ("trait:HW_CPU_X86_AVX2", "maybe", "'maybe' is not one of: required, forbidden."),
        ("trait:HW_CPU_X86_NONESUCH", "required", "does not appear to be a valid extra spec."),
        ("resources1:NONESUCH", "1", "does not appear to be a valid extra spec."),
    ],
)
def test_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check(name, value)
    assert refusal.value.message.startswith("Validation failed; ")
    assert message in refusal.value.message
