"""MILAN's objective with pretrained vision-language models."""
