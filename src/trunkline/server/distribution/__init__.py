"""A store as a read-only OCI registry (distribution specification, version 2)."""
