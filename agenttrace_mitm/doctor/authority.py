"""The certificate authority: there, ours alone, good for long enough and for all hosts."""

import datetime
import functools
import os
from collections.abc import Iterator

from ..capture import authority
from ..errors import CaptureError
from ..hosts import certificate_names, hosts
from .finding import Finding, Patient

CHECK = "authority"


def sound(patient: Patient) -> Iterator[Finding]:
    """All of it."""
    settings = patient.settings
    if not settings.ca_folder.exists():
        yield Finding(CHECK, "note", "there is none yet; the first `start` or `run` makes it")
        return
    try:
        found = authority.describe(settings.ca_folder)
    except CaptureError as error:
        yield Finding(CHECK, "wrong", error.problem, error.remedy)
        return
    if os.name == "posix":
        yield from _modes(found)
    left = (found.expires - datetime.datetime.now(datetime.UTC)).days
    names = certificate_names(hosts(settings.hosts_added, (), settings.hosts_enabled))
    if left < authority.RENEW_BEFORE.days or tuple(names) != found.names:
        why = f"has {left} days left" if tuple(names) == found.names else "is for other hosts"
        said = f"it {why}: the next start makes a new one"
        yield Finding(CHECK, "note", said, "Where you installed it, run `ca install` again")
    else:
        yield Finding(CHECK, "ok", f"good until {found.expires:%Y-%m-%d}, for provider hosts only")
    yield from _bundle(patient, found)


def _modes(found: authority.Authority) -> Iterator[Finding]:
    for path, wanted in ((found.key, 0o600), (found.folder, 0o700)):
        mode = path.stat().st_mode & 0o777
        if mode & ~wanted:
            mend = functools.partial(path.chmod, wanted)
            said = f"others may use {path} (mode {mode:o})"
            yield Finding(CHECK, "wrong", said, f"chmod {wanted:o} {path}", mend)


def _bundle(patient: Patient, found: authority.Authority) -> Iterator[Finding]:
    """The files for programs are made from the key file, and can be made again."""

    def mend() -> None:
        authority.ensure(found.folder, found.names)
        authority.write_bundle(found.folder, patient.plain_environ, patient.settings.upstream_ca)

    try:
        root, bundle = found.root.read_bytes().strip(), found.bundle.read_bytes()
    except OSError as error:
        said = f"{error.filename} cannot be read ({error.strerror})"
        yield Finding("bundle", "wrong", said, "agenttrace-mitm doctor --fix", mend)
        return
    if root in bundle and bundle.count(b"BEGIN CERTIFICATE") > 1:
        yield Finding("bundle", "ok", f"{found.bundle} has our root among the others")
    else:
        said = f"{found.bundle} does not have our root among others"
        yield Finding("bundle", "wrong", said, "agenttrace-mitm doctor --fix", mend)
