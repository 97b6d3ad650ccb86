"""Decisions made again: today's deciders on what the log says that they knew then."""
