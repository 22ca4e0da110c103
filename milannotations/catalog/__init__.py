"""What can be named: models to dissect (``models``), and the annotated ones (``releases``)."""
