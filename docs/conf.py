"""Configuration of the site."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for from_code

project = "visus"
author = "the visus developers"
copyright = "2026, the visus developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_code"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "visus"
html_math_renderer = "mathml"  # of from_code: MathJax would come from a CDN
html_copy_source = False
highlight_language = "none"  # of blocks that name none, such as folder trees
exclude_patterns = ["_build"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
nitpicky = False
smartquotes_action = "qe"  # quotes and dots; "--" begins an option
