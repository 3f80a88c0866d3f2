"""What a recording costs: the origin, the contestants, and the reckoning of table `cost`."""
