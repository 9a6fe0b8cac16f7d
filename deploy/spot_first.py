"""Which type of worker Ray's autoscaler starts: spot while AWS gives it, on demand where AWS has just refused.

The autoscaler of `cluster.yaml` loads this by RAY_AUTOSCALER_UTILIZATION_SCORER. Ray's own judge forgets a refusal, and
asks for the same type again.
"""

from typing import Final

from ray.autoscaler._private.node_provider_availability_tracker import NodeAvailabilitySummary
from ray.autoscaler._private.resource_demand_scheduler import _default_utilization_scorer

_SPOT: Final = "_spot"

Score = tuple[bool, bool, int, float, float, bool]


def score(
    node_resources: dict[str, float],
    resources: list[dict[str, float]],
    node_type: str,
    *,
    node_availability_summary: NodeAvailabilitySummary,
) -> Score | None:
    """Return how well a type of node fits what is asked for, the larger the better; None: not at all.

    Args:
        node_resources: what such a node has.
        resources: what is asked for.
        node_type: its name in `cluster.yaml`; that of spot instances ends with `_spot`.
        node_availability_summary: how the last start of each type went; Ray forgets it after half an hour.
    """
    fit = _default_utilization_scorer(
        node_resources, resources, node_type, node_availability_summary=node_availability_summary
    )
    if fit is None:
        return None
    last = node_availability_summary.node_availabilities.get(node_type)
    return last is None or last.is_available, *fit, node_type.endswith(_SPOT)
