"""The NIB: readings of the log that can be deleted and rebuilt."""
