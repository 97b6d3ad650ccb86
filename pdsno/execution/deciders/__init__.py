"""Deciders of execution: pure functions over what an executor has said so far."""
