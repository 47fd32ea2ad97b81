"""Names of what one agent makes in its host's kernel: made from its run path, so that several clouds on one
machine never meet, and whoever knows the run path can find everything again.
"""

import hashlib
import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Names:
    """The name of a link has at most 15 characters."""

    tag: str

    @classmethod
    def of(cls, run_path: str | os.PathLike[str]) -> Self:
        return cls(hashlib.sha256(os.fsencode(run_path)).hexdigest()[:8])

    @property
    def table(self) -> str:
        """Of nftables: one for IP, and one for what passes the bridges, with the same name."""
        return f"renova_{self.tag}"

    @property
    def bridges(self) -> str:
        """What every bridge's name begins with."""
        return f"rnv{self.tag}"

    def bridge(self, network_id: str) -> str:
        return f"{self.bridges}{network_id[:4]}"

    @property
    def taps(self) -> str:
        """What every tap's name begins with: the firewall lets no frame in from one that it does not know."""
        return f"rv{self.tag[:5]}"

    def tap(self, port_id: str) -> str:
        return f"{self.taps}{port_id[:8]}"
