"""Shim for `datasette data.db --plugins-dir datasette_plugins` from a checkout.

Datasette runs only the `*.py` files directly inside that folder and gives them no templates.  So
the package beside this file is registered, under the name of its entry point: where that is
installed too, it is not registered a second time.
"""

import sys
from pathlib import Path

from datasette.plugins import pm

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent):  # the plugin, and agenttrace_mitm which it imports
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

import datasette_agenttrace  # noqa: E402

if not pm.has_plugin("agenttrace") and not pm.is_registered(datasette_agenttrace):
    pm.register(datasette_agenttrace, name="agenttrace")
