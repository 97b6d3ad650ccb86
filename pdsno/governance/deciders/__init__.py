"""Decisions of governed change: pure functions of history, event, facts and time."""
