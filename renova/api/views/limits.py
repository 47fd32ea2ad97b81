"""What a client sees of its limits, at each microversion. Source: Nova's API reference, "Limits (limits)".

What there is none of (addresses and security groups of a network service) is in use 0 times.
"""

from typing import Annotated, Self

from pydantic import Field

from renova.api.marked import View
from renova.api.microversions import until
from renova.compute.quotas import Limits, Usage


class AbsoluteLimits(View):
    """Sizes of memory in MiB."""

    max_instances: Annotated[int, Field(alias="maxTotalInstances")]
    max_cores: Annotated[int, Field(alias="maxTotalCores")]
    max_ram: Annotated[int, Field(alias="maxTotalRAMSize")]
    max_key_pairs: Annotated[int, Field(alias="maxTotalKeypairs")]
    max_server_metadata: Annotated[int, Field(alias="maxServerMeta")]
    max_server_groups: Annotated[int, Field(alias="maxServerGroups")]
    max_server_group_members: Annotated[int, Field(alias="maxServerGroupMembers")]
    max_image_metadata: Annotated[int, Field(alias="maxImageMeta"), until("2.38")]
    max_personality: Annotated[int, Field(alias="maxPersonality"), until("2.56")]
    max_personality_size: Annotated[int, Field(alias="maxPersonalitySize"), until("2.56")]
    max_floating_ips: Annotated[int, Field(alias="maxTotalFloatingIps"), until("2.35")]
    max_security_groups: Annotated[int, Field(alias="maxSecurityGroups"), until("2.35")]
    max_security_group_rules: Annotated[int, Field(alias="maxSecurityGroupRules"), until("2.35")]
    used_instances: Annotated[int, Field(alias="totalInstancesUsed")]
    used_cores: Annotated[int, Field(alias="totalCoresUsed")]
    used_ram: Annotated[int, Field(alias="totalRAMUsed")]
    used_server_groups: Annotated[int, Field(alias="totalServerGroupsUsed")]
    used_floating_ips: Annotated[int, Field(alias="totalFloatingIpsUsed"), until("2.35")]
    used_security_groups: Annotated[int, Field(alias="totalSecurityGroupsUsed"), until("2.35")]

    @classmethod
    def of(cls, limits: Limits, usage: Usage) -> Self:
        return cls(
            max_instances=limits.instances,
            max_cores=limits.cores,
            max_ram=limits.ram,
            max_key_pairs=limits.key_pairs,
            max_server_metadata=limits.metadata_items,
            max_server_groups=limits.server_groups,
            max_server_group_members=limits.server_group_members,
            max_image_metadata=limits.metadata_items,
            max_personality=limits.injected_files,
            max_personality_size=limits.injected_file_content_bytes,
            max_floating_ips=limits.floating_ips,
            max_security_groups=limits.security_groups,
            max_security_group_rules=limits.security_group_rules,
            used_instances=usage.instances,
            used_cores=usage.cores,
            used_ram=usage.ram,
            used_server_groups=usage.server_groups,
            used_floating_ips=0,
            used_security_groups=0,
        )
