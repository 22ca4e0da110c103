"""Network Dissection (Bau et al., CVPR 2017): units as the label that their masks overlap most."""
