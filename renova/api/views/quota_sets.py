"""What a client sees of quotas, at each microversion. Source: Nova's API reference, "Quota sets"."""

from dataclasses import asdict
from typing import Annotated, Self

from renova.api.marked import View
from renova.api.microversions import until
from renova.compute.quotas import Limits, Usage

# A limit, or {"limit", "in_use", "reserved"} in the detailed view.
Amount = int | dict[str, int]


class QuotaSet(View):
    """Memory in MiB; -1 is no limit. The answer to an update has no `id`, as in Nova."""

    id: str = ""
    instances: Amount
    cores: Amount
    ram: Amount
    metadata_items: Amount
    key_pairs: Amount
    server_groups: Amount
    server_group_members: Amount
    injected_files: Annotated[Amount, until("2.56")]
    injected_file_content_bytes: Annotated[Amount, until("2.56")]
    injected_file_path_bytes: Annotated[Amount, until("2.56")]
    fixed_ips: Annotated[Amount, until("2.35")]
    floating_ips: Annotated[Amount, until("2.35")]
    security_groups: Annotated[Amount, until("2.35")]
    security_group_rules: Annotated[Amount, until("2.35")]

    @classmethod
    def of(cls, project_id: str, limits: Limits) -> Self:
        return cls(id=project_id, **asdict(limits))

    @classmethod
    def updated(cls, limits: Limits) -> Self:
        return cls(**asdict(limits))

    @classmethod
    def detailed(cls, project_id: str, limits: Limits, usage: Usage) -> Self:
        """Only what a project as a whole has is counted; what is per server or user is 0 here, as in Nova."""
        used = asdict(usage)
        amounts = {
            resource: {"limit": limit, "in_use": used.get(resource, 0), "reserved": 0}
            for resource, limit in asdict(limits).items()
        }
        return cls(id=project_id, **amounts)
