"""How descriptions are scored."""
