"""The documentation site. Its source is the whole repository, so that links work on a forge and on the site alike.

Nothing is loaded from the network, neither by the build nor by the pages: no web fonts, no MathJax (formulas are plain
text), notebooks with the outputs that they were committed with.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from docstrings import to_restructured_text  # noqa: E402
from offline import refuse_remote_resources  # noqa: E402

project, author = "grok_interp", "the authors of grok_interp"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "myst_nb"]
napoleon_numpy_docstring = False
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "notebooks/*.ipynb",
    "benchmarks/RESULTS.md",
    "dev/LOG.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = ["docs/_build", ".venv", ".tl4", ".git", "runs", "**/.ipynb_checkpoints"]
smartquotes = False  # text, code and commands keep their quotes and hyphens
templates_path = ["_templates"]

nb_execution_mode = "off"
nb_ipywidgets_js = {}  # by default these come from a CDN
myst_enable_extensions = []  # no dollarmath: text keeps its dollars, pages need no MathJax
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autosummary_generate = False
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 80

nitpicky = True
NOT_CLASSES = (  # type variables and aliases, and names that a module imports for its annotations alone
    "results.analyzer.Kind",
    "results.analyzer.Found",
    "engines.engine.Cell",
    "results.checkpoint_map.Checkpoints",
    "results.order.Labeled",
    "studies.copying.evaluation_text.EvaluationText",
    "analysis.intervals.Array",
    "analysis.ablation_edits.Seen",
    "analysis.edge_edits.EdgeCut",
    "data.vocabulary.Vocabulary",
    "data.foreign_vocabulary.NumberedVocabulary",
    "training.divergence.Update",
    "training.processes.Processes",
    "runs.series.Series",
    "plots.screen.Graph",
    "studies.study.Results",
    "studies.picture.DrawsRun",
    "studies.picture.DrawsRuns",
    "plugins.Brought",
)
nitpick_ignore = [("py:class", f"grok_interp.{name}") for name in NOT_CLASSES]
nitpick_ignore_regex = [("py:.*", r"(?!grok_interp).*")]  # torch, xarray, ...: their inventories are on the network

html_theme = "furo"
html_title = "grok_interp"
html_additional_pages = {"index": "to_root.html"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False


def setup(app) -> None:
    before_napoleon = {"priority": 400}
    app.connect("autodoc-process-docstring", lambda *event: to_restructured_text(event[-1]), **before_napoleon)
    app.connect("build-finished", refuse_remote_resources)
