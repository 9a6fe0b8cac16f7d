"""The ruler for search algorithms: recorded and synthetic tasks, simulated workers and the arms that are compared."""
