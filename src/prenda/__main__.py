"""`python -m prenda`, the same as the `prenda` command."""

import sys

from prenda.cli import main

sys.exit(main())
