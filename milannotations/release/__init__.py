"""The original release of MILANNOTATIONS: read safely into records, and written back."""
