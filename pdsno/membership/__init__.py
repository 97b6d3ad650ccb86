"""Joining the hierarchy, and staying in it: invitations, certificates, keys (DOMAIN.md 2)."""
