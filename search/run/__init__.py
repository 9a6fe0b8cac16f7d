"""Ray: the cluster, the loop over trials, what hears of them, and what runs in a worker. Nothing else imports Ray.

Uses `memory`, `space`, `propose` and `judge`.
"""
