"""``python -m shapespace`` is the same as the ``shapespace`` command."""

import sys

from shapespace.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
