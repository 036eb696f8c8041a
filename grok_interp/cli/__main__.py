"""`python -m grok_interp.cli` is `grok-interp`."""

import sys

from grok_interp.cli.commands import main

sys.exit(main())
