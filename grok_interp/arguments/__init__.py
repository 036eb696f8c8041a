"""What callers give: `checked` reads the annotations of a function, and the rules are here by kind."""

from grok_interp.arguments.numbers import heads_of, require_level, whole_number, whole_numbers
from grok_interp.arguments.rules import checked

__all__ = ["checked", "heads_of", "require_level", "whole_number", "whole_numbers"]
