"""Command ``python -m ta_assets.trace``."""

import sys

from ta_assets.trace.command import main

if __name__ == "__main__":
    sys.exit(main())
