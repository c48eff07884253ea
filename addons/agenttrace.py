"""AgentTrace inside your own mitmproxy: `mitmdump -s addons/agenttrace.py`.

Records calls to LLM providers into the database of AGENTTRACE_HOME (~/.agenttrace); everything
else about your mitmproxy stays as it is, except that bodies are streamed.
"""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("agenttrace_mitm") is None:
    # In a checkout the package is beside this folder.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agenttrace_mitm.capture.inside import Inside

addons = [Inside()]
