"""Governed change: what may be changed, by whom, when; pure functions of log, facts and time."""
