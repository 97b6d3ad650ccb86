"""Discovery: what answers on a prefix, and who it is."""
