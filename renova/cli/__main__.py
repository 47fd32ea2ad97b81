"""`python -m renova.cli`: how `renova up` starts the API and the agent with the Python that it runs on."""

import sys

from renova.cli import main

sys.exit(main())
