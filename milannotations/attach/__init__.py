"""Source images put into records that came without: found, cut as the network saw them, stored."""
