"""`renova up` whose agent is `chaos.agent`; everything else is as it is for everybody."""

import argparse
import asyncio
import os
import sys

from renova.cli import options
from renova.cloud.up import up


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    options.add_state(parser)
    os.umask(0o022)
    asyncio.run(up(options.state_of(parser.parse_args()), agent=("chaos.agent",)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
