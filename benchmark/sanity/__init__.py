"""Which metrics can be fooled: checks that a metric must pass before it may rank."""
