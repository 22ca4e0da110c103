"""MILAN's objective with pretrained vision-language models in place of ones trained for it."""
