"""What comes to us instead of through us.

Comes in: events that programs send to the API.  Goes out: records and stored events, priced, on
their way to the recorder, which applies redaction and tier and writes them.
"""
