"""Renova's own agent, with moments at which a fault may be ordered.

    python -m chaos.agent --config STATE/renova.conf

It runs in the place of `renova agent`, under the same supervisor. Orders lie in STATE/chaos.
"""

import argparse
import sys
from pathlib import Path

from chaos import moments
from chaos.orders import Orders
from renova.cli import agent, options


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_config(parser)
    given = parser.parse_args()
    moments.install(Orders(given.config.parent / "chaos"), Path(options.load(given).run_path))
    return agent.run(given)


if __name__ == "__main__":
    sys.exit(main())
