"""Alerts: rules over what was recorded, their state, and messages that arrive.

A rule type (one file each in `rules/`) asks the database one question and judges the rows.  The
engine turns judgements into firings, a check writes firings and messages in one transaction, and
the outbox sends the messages until they have arrived.
"""
