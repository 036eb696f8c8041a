"""The command line: `grok-interp VERB ...`. Every verb parses, calls the library and prints what came of it."""

from grok_interp.cli.commands import VERBS as VERBS
from grok_interp.cli.commands import main as main
