"""Capture loads of mitmproxy what it needs, and nothing of mitmproxy is lost by that."""

import subprocess
import sys


def python(code: str) -> str:
    """What *code* prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"from agenttrace_mitm.capture import lean\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_capture_loads_nothing_that_it_does_not_use():
    """They took half of its start, and the readers of dialects a twentieth."""
    loaded = python(
        "import sys\nlean.apply()\nimport agenttrace_mitm.capture.worker\nprint(*sys.modules)"
    ).split()
    assert "mitmproxy.addons.tlsconfig" in loaded
    unwanted = {"flask", "ldap3", "mitmproxy.addons.script", "attr", "ruamel.yaml.main"}
    unwanted |= {"agenttrace_mitm.providers", "pydantic"}
    assert not unwanted & set(loaded)


def test_the_other_addons_are_there_for_who_asks():
    said = python(
        "lean.apply()\nfrom mitmproxy import addons\nfrom mitmproxy.addons import core\n"
        "print(type(addons.default_addons()[0]) is core.Core, hasattr(addons, 'nonsense'),"
        " addons.script.__name__)"
    )
    assert said == "True False mitmproxy.addons.script"


def test_addons_that_are_loaded_stay_what_they_are():
    said = python(
        "from mitmproxy import addons\nlean.apply()\nimport sys\n"
        "print(sys.modules['mitmproxy.addons'] is addons)"
    )
    assert said == "True"


def test_what_waits_is_whole_when_it_is_wanted():
    said = python(
        "lean.apply()\nimport aioquic.tls, ruamel.yaml, sys\nbefore = 'attr' in sys.modules\n"
        "import service_identity\nfrom ruamel.yaml import YAML\n"
        "print(before, service_identity.cryptography.extract_patterns.__name__,"
        " YAML().load('a: [1]'), issubclass(aioquic.tls.service_identity.VerificationError,"
        " Exception))"
    )
    assert said == "False extract_patterns {'a': [1]} True"
