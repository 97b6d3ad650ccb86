"""The log: its language and its storage. Imports nothing of ours."""
