"""Parts for points on two rings, as an example of a plug-in of sngan."""
