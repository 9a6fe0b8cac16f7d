"""`deploy/rayjob.yaml`, checked without Kubernetes: its fields against those of KubeRay 1.7 and pods, and its sense.

The API server passes over a field that it does not know; here each must be in the tables, which hold what is used.
"""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

QUANTITIES: Final = {"cpu": (str, int), "memory": str, "nvidia.com/gpu": str, "ephemeral-storage": str}
CONTAINER: Final = {
    "name": str,
    "image": str,
    "env": [{"name": str, "value": str}],
    "resources": {"requests": QUANTITIES, "limits": QUANTITIES},
    "volumeMounts": [{"name": str, "mountPath": str}],
}
POD: Final = {
    "spec": {
        "restartPolicy": {"Always", "OnFailure", "Never"},
        "terminationGracePeriodSeconds": int,
        "securityContext": {"fsGroup": int},
        "containers": [CONTAINER],
        "volumes": [
            {
                "name": str,
                "persistentVolumeClaim": {"claimName": str},
                "emptyDir": {"medium": {"Memory"}, "sizeLimit": str},
            }
        ],
        "tolerations": [{"key": str, "operator": {"Exists", "Equal"}, "effect": {"NoSchedule"}}],
    }
}
PARAMETERS: Final = {"num-cpus": str}
CLUSTER: Final = {
    "rayVersion": str,
    "authOptions": {"mode": {"disabled", "token"}},
    "enableInTreeAutoscaling": bool,
    "autoscalerOptions": {
        "version": {"v1", "v2"},
        "idleTimeoutSeconds": int,
        "resources": {"requests": QUANTITIES, "limits": QUANTITIES},
    },
    "headGroupSpec": {"rayStartParams": PARAMETERS, "template": POD},
    "workerGroupSpecs": [
        {"groupName": str, "minReplicas": int, "maxReplicas": int, "rayStartParams": PARAMETERS, "template": POD}
    ],
}
JOB: Final = {
    "apiVersion": {"ray.io/v1"},
    "kind": {"RayJob"},
    "metadata": {"name": str},
    "spec": {
        "entrypoint": str,
        "submissionMode": {"K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"},
        "backoffLimit": int,
        "shutdownAfterJobFinishes": bool,
        "ttlSecondsAfterFinished": int,
        "rayClusterSpec": CLUSTER,
    },
}
CLAIM: Final = {
    "apiVersion": {"v1"},
    "kind": {"PersistentVolumeClaim"},
    "metadata": {"name": str},
    "spec": {
        "accessModes": [{"ReadWriteMany"}],
        "storageClassName": str,
        "resources": {"requests": {"storage": str}},
    },
}


def find_unknown(value: Any, allowed: Any, path: str = "") -> list[str]:
    """Places of a manifest that its table does not have, or that hold another kind of value."""
    if isinstance(allowed, dict):
        if not isinstance(value, dict):
            return [path]
        unknown = [f"{path}.{key}" for key in value if key not in allowed]
        known = [key for key in value if key in allowed]
        return unknown + [each for key in known for each in find_unknown(value[key], allowed[key], f"{path}.{key}")]
    if isinstance(allowed, list):
        if not isinstance(value, list):
            return [path]
        return [each for item in value for each in find_unknown(item, allowed[0], f"{path}[]")]
    if isinstance(allowed, set):
        return [] if value in allowed else [path]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return [] if (is_number if allowed is int else isinstance(value, allowed)) else [path]


@pytest.fixture
def documents(root: Path) -> list[dict]:
    return list(yaml.safe_load_all((root / "deploy" / "rayjob.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def job(documents: list[dict]) -> dict:
    return documents[1]


@pytest.fixture
def cluster(job: dict) -> dict:
    return job["spec"]["rayClusterSpec"]


@pytest.fixture
def pods(cluster: dict) -> list[dict]:
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_every_field_is_one_of_kuberay_or_of_a_pod(documents):
    claim, job = documents
    assert find_unknown(claim, CLAIM) == []
    assert find_unknown(job, JOB) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"backofLimit": 5}, ".spec.backofLimit"),
        ({"submissionMode": "SideCarMode"}, ".spec.submissionMode"),
        ({"backoffLimit": "5"}, ".spec.backoffLimit"),
        ({"rayClusterSpec": {"autoscalerOptions": {"version": 2}}}, ".spec.rayClusterSpec.autoscalerOptions.version"),
        (
            {"rayClusterSpec": {"workerGroupSpecs": [{"minReplica": 0}]}},
            ".spec.rayClusterSpec.workerGroupSpecs[].minReplica",
        ),
    ],
)
def test_a_mistake_is_found(job, change, found):
    """The check above can fail."""
    job["spec"].update(change)
    assert find_unknown(job, JOB) == [found]


def test_kuberay_takes_the_combination(job, cluster, pods):
    """The rules of its validation: for sidecar mode, the second autoscaler and tokens."""
    spec = job["spec"]
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", job["metadata"]["name"])
    assert spec["submissionMode"] == "SidecarMode"
    assert not {"submitterPodTemplate", "submitterConfig", "clusterSelector"} & set(spec)
    assert cluster["autoscalerOptions"]["version"] == "v2"
    assert {pod["restartPolicy"] for pod in pods} == {"Never"}
    assert "RAY_enable_autoscaler_v2" not in str(pods), "two answers to one question"
    assert cluster["authOptions"]["mode"] == "token"
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52, 0)


def test_versions_are_the_projects(cluster, pins, root):
    assert cluster["rayVersion"] == pins["ray"]
    image = (root / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert f"FROM rayproject/ray:{pins['ray']}-py311\n" in image
    assert "-r /tmp/requirements.txt" in image
    copied = re.findall(r"^COPY (?:--chown=\w+ )?(\S+) ", image, re.MULTILINE)
    assert copied == ["requirements.txt", "search", "segcore", "spaces"]
    assert all((root / source).exists() for source in copied)


def test_a_search_that_ended_badly_goes_on_with_a_new_cluster_on_the_same_volume(job, documents, pods, understand):
    assert job["spec"]["backoffLimit"] >= 1
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    options = understand(job["spec"]["entrypoint"])
    assert options["or_resume"] is True
    assert options["address"] == "auto"
    claim = documents[0]["metadata"]["name"]
    for pod in pods:
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts["/shared"]["persistentVolumeClaim"]["claimName"] == claim
        assert mounts["/dev/shm"]["emptyDir"]["medium"] == "Memory"
        assert str(options["storage"]).startswith("/shared/")
        assert str(options["data"]).startswith("/shared/")
        assert str(options["cache"]) in mounts
        assert pod["securityContext"] == {"fsGroup": 100}


def test_head_takes_no_trials_and_workers_hold_one_each(cluster, pods, job, understand):
    options = understand(job["spec"]["entrypoint"])
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    head, worker = (pod["containers"][0] for pod in pods)
    assert "nvidia.com/gpu" not in head["resources"]["limits"]
    # The cache is bounded where it lies; asked for, it leads to a node with the disk, and is put out there as the last.
    assert {pod["resources"]["requests"].pop("ephemeral-storage") for pod in (head, worker)} == {"30Gi"}
    assert worker["resources"]["requests"] == worker["resources"]["limits"]
    assert float(worker["resources"]["limits"]["nvidia.com/gpu"]) >= options["gpus_per_trial"]
    assert float(worker["resources"]["limits"]["cpu"]) >= options["cpus_per_trial"]
    (group,) = cluster["workerGroupSpecs"]
    assert group["minReplicas"] == 0
    assert group["maxReplicas"] == options["max_concurrent"]
    assert all(container["image"] == head["image"] for container in (head, worker))
