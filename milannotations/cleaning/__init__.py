"""What interrupted runs leave behind: finding it, and removing it."""
