"""The API's process: `python -m renova.api.program ADDRESS PORT`, with RENOVA_CONFIG in its environment.

`renova api` becomes it once it has read the configuration. To read that loads the half of what the API needs,
and granian's main process, which stays for as long as the API, would keep it beside the worker's own.
"""

import os
import sys
from typing import Any

from granian.constants import Interfaces

from renova.cloud.serving import serve


def main() -> None:
    address, port = sys.argv[1:]
    title = f"renova api {os.environ['RENOVA_CONFIG']}"
    serve(title, _application, Interfaces.ASGI, int(port), address)


def _application() -> Any:
    """Called in granian's worker."""
    from renova.api.app import create

    return create()


if __name__ == "__main__":
    main()
