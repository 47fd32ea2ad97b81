"""Other services of the cloud, as seen from here."""

import sys

# httpx loads its own command line wherever click and rich are installed, 5 MiB that no service uses: it takes
# this for a lack of them. A command line that is there already is somebody's.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
