"""The zips of the original releases: fetched from their host or a mirror, checked, and kept."""
