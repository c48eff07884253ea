"""The proxy: bytes pass through untouched, and a copy of them goes to the recorder.

The only home of mitmproxy.  `authority` keeps the certificate authority, `master` runs the
proxy, `gate` says what is decrypted, `addon` watches what passes, `handover` brings it to the
recorder, `process` finds out who called.
"""
