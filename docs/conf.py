"""Settings of the documentation: `sphinx-build -W docs build/docs`."""

from xpfit import __version__

project = "xpfit"
author = "The xpfit developers"
copyright = "2026, The xpfit developers"
release = version = __version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["jupyter_execute"]
html_theme = "furo"
html_title = f"xpfit {version}"

# Single backticks in docstrings are names of ours where such exist.
default_role = "py:obj"
autosummary_generate = True
numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

# Every page's code is run anew, and a cell that fails fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_merge_streams = True
