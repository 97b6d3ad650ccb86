"""Execution: how a device is reached, and the drivers that read and change it."""
