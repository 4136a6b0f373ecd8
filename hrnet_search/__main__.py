"""`python -m hrnet_search`: the command line, where the console command is not on the path."""

import sys

from hrnet_search.cli import main

if __name__ == "__main__":
    sys.exit(main())
