"""Deciders that can be replayed, a file each: its DECIDER is found by being here."""
