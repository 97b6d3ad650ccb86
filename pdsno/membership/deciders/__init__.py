"""The pure decisions of membership: no clock, no chance, no file, no socket."""
