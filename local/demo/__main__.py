"""The demo as a program: `python -m local.demo`, which is what `make demo` runs."""

import sys

from local.demo.demo import main

sys.exit(main())
