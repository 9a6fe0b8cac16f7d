"""`cluster.yaml`, checked without a cloud: by Ray's own schema and checks, and for what those let pass."""

import json
import re
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import ray
import typer
import yaml
from jsonschema import Draft7Validator
from ray.autoscaler._private.node_provider_availability_tracker import NodeProviderAvailabilityTracker
from ray.autoscaler._private.resource_demand_scheduler import get_nodes_for
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.v2.instance_manager.subscribers.cloud_resource_monitor import CloudResourceMonitor
from ray.core.generated.instance_manager_pb2 import Instance, InstanceUpdateEvent

from deploy.spot_first import score
from search.__main__ import app

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
# Ray hands these to AWS as they are, so a typo costs a paid start of the cluster.
PROVIDER_KEYS = {"type", "region", "availability_zone", "cache_stopped_nodes", "security_group", "use_internal_ips"}
NODE_TYPE_KEYS = {"resources", "min_workers", "max_workers", "node_config"}
NODE_CONFIG_KEYS = {
    "InstanceType", "ImageId", "KeyName", "BlockDeviceMappings", "InstanceMarketOptions", "IamInstanceProfile",
    "SecurityGroupIds", "SubnetIds", "TagSpecifications",
}  # fmt: skip
DEVICE_KEYS = {"DeviceName", "Ebs"}
VOLUME_KEYS = {"VolumeSize", "VolumeType", "DeleteOnTermination", "Iops", "Throughput", "Encrypted"}
SECRET = "~/.ray/auth_token"


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "cluster.yaml").read_text(encoding="utf-8")


@pytest.fixture
def config(text: str, monkeypatch: pytest.MonkeyPatch) -> dict:
    # Ray reads the sources of file_mounts relative to the folder that `ray up` is started in.
    monkeypatch.chdir(ROOT)
    return yaml.safe_load(text)


def node_configs(config: dict) -> list[dict]:
    return [node["node_config"] for node in config["available_node_types"].values()]


def commands(config: dict) -> list[str]:
    return [line for name, lines in config.items() if name.endswith("_commands") for line in lines]


def test_file_follows_rays_schema(config):
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(config)] == []


def test_file_passes_rays_own_checks(config):
    validate_config(prepare_config(config))


def test_rays_checks_see_an_unknown_key_and_a_missing_head(config):
    """The two checks above can fail."""
    with pytest.raises(Exception, match="max_wrkers"):
        validate_config(prepare_config({**config, "max_wrkers": 2}))
    with pytest.raises(ValueError, match="head_node_type"):
        validate_config(prepare_config({**config, "head_node_type": "haed"}))


def test_only_known_keys_reach_aws(config):
    assert set(config["provider"]) <= PROVIDER_KEYS
    assert "min_workers" not in config, "Ray ignores it at the top; it belongs to a node type"
    for node in config["available_node_types"].values():
        assert set(node) <= NODE_TYPE_KEYS
    for node_config in node_configs(config):
        assert set(node_config) <= NODE_CONFIG_KEYS
        for device in node_config["BlockDeviceMappings"]:
            assert set(device) <= DEVICE_KEYS
            assert set(device["Ebs"]) <= VOLUME_KEYS


def test_head_is_a_node_type_without_gpu_that_takes_no_trials(config):
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"], "a head on spot loses the driver"


def test_gpu_workers_come_when_they_are_asked_for_spot_or_on_demand(config):
    workers = {name: node for name, node in config["available_node_types"].items() if name != config["head_node_type"]}
    assert set(workers) == {"gpu_spot", "gpu_on_demand"}
    spot, on_demand = workers["gpu_spot"], workers["gpu_on_demand"]
    assert spot["node_config"].pop("InstanceMarketOptions") == {"MarketType": "spot"}
    assert spot == on_demand, "the same machine in all else, so that a trial fits on either"
    assert on_demand["resources"]["GPU"] >= 1
    assert on_demand["min_workers"] == 0
    assert 1 <= on_demand["max_workers"] <= config["max_workers"]


TWO_TRIALS = [{"GPU": 1, "CPU": 4}] * 2


def choose(config: dict, tracker: NodeProviderAvailabilityTracker, existing: dict[str, int]) -> dict[str, int]:
    """Types that the autoscaler of the head would start for two trials."""

    def judge(*arguments: object) -> tuple | None:
        return score(*arguments, node_availability_summary=tracker.summary())

    types = config["available_node_types"]
    chosen, left = get_nodes_for(types, existing, "head", config["max_workers"], TWO_TRIALS, judge)
    return {**chosen, "left": len(left)} if left else dict(chosen)


def test_spot_is_chosen_until_it_is_refused_and_again_after_half_an_hour(config):
    now = time.time()
    tracker = NodeProviderAvailabilityTracker(timer=lambda: now)
    assert choose(config, tracker, {}) == {"gpu_spot": 2}
    assert choose(config, tracker, {"gpu_spot": 3}) == {"gpu_spot": 1, "gpu_on_demand": 1}
    refusal = NodeLaunchException("InsufficientInstanceCapacity", "no g5.xlarge left", None)
    tracker.update_node_availability("gpu_spot", int(now), refusal)
    assert choose(config, tracker, {}) == {"gpu_on_demand": 2}
    tracker.update_node_availability("gpu_on_demand", int(now), refusal)
    assert choose(config, tracker, {}) == {"gpu_spot": 2}, "with neither there, both are tried"
    now += 31 * 60
    assert choose(config, tracker, {}) == {"gpu_spot": 2}


def test_rays_second_autoscaler_forgets_a_refusal():
    """Why the first one runs: when this fails, `deploy/spot_first.py` may go, and `priority` of a type do its work."""
    monitor = CloudResourceMonitor()
    monitor.notify([InstanceUpdateEvent(instance_type="gpu_spot", new_instance_status=Instance.ALLOCATION_FAILED)])
    assert monitor.get_resource_availabilities() == {}
    assert monitor.get_recoverable_resource_availabilities() == {}


def test_head_runs_the_first_autoscaler_with_our_judge(config):
    """`ray up` exports RAY_enable_autoscaler_v2=1 before each command of the head."""
    (start,) = (line for line in config["head_start_ray_commands"] if "ray start --head" in line)
    assert "RAY_enable_autoscaler_v2=0 " in start
    assert f"RAY_AUTOSCALER_UTILIZATION_SCORER={score.__module__}.{score.__name__} " in start
    assert "PYTHONPATH=$HOME/street-search " in start


def test_a_job_finds_the_python_that_has_the_packages(config):
    (start,) = (line for line in config["head_start_ray_commands"] if "ray start --head" in line)
    assert "PATH=~/venv/bin:$PATH " in start


def test_every_node_has_a_disk_and_an_image_and_a_type(config):
    for node_config in node_configs(config):
        assert re.fullmatch(r"[a-z0-9]+\.[a-z0-9]+", node_config["InstanceType"])
        # Ray's default image is an Ubuntu 18.04, older than torch's wheels run on.
        assert node_config["ImageId"].startswith("ami-")
        # torch with CUDA takes 5.5 GB installed, and the image about 40.
        assert all(device["Ebs"]["VolumeSize"] >= 100 for device in node_config["BlockDeviceMappings"])


def test_sources_of_file_mounts_exist(config):
    sources = set(config["file_mounts"].values()) - {SECRET}
    assert {source for source in sources if not (ROOT / source).exists()} == set()


def test_the_whole_project_is_sent(config):
    sent = {source: Path(target) for target, source in config["file_mounts"].items() if source != SECRET}
    assert {"search", "segcore", "spaces", "deploy", "requirements.txt"} <= set(sent)
    assert {target.parent for target in sent.values()} == {Path("/home/ubuntu/street-search")}
    assert all(target.name == source for source, target in sent.items())


def test_every_node_installs_the_requirements_and_rays_own_version(config):
    installed = "\n".join(config["setup_commands"])
    assert "-r ~/street-search/requirements.txt" in installed
    assert "boto3" in installed, "the head starts workers with it"
    assert set(re.findall(r"ray\[\w+\]==([\d.]+)", (ROOT / "cluster.yaml").read_text())) == {version("ray")}
    assert f"ray[tune]=={version('ray')}" in (ROOT / "requirements.txt").read_text()
    assert f"mlflow[auth]=={version('mlflow')}" in (ROOT / "requirements.txt").read_text(), (
        "the server wants a password"
    )
    assert re.search(r"astral\.sh/uv/\d+\.\d+\.\d+/install\.sh", installed), "what is piped into a shell has a version"


def test_every_side_uses_the_token(config):
    starts = [line for line in commands(config) if "ray start" in line]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert config["file_mounts"]["/home/ubuntu/.ray/auth_token"] == SECRET
    assert any("RAY_AUTH_MODE=token" in line and ".profile" in line for line in config["setup_commands"])


def test_nothing_listens_on_every_address(config):
    assert [line for line in commands(config) if "0.0.0.0" in line] == []
    (start,) = (line for line in config["head_start_ray_commands"] if "ray start --head" in line)
    assert "--dashboard-host=127.0.0.1" in start
    assert "IpPermissions" not in config["provider"].get("security_group", {}), "no port is opened to the world"


def test_head_runs_one_mlflow_server_behind_a_password_on_its_private_address(config):
    (server,) = (line for line in commands(config) if "mlflow_server.sh" in line)
    assert server in config["head_start_ray_commands"]
    # A name that is not listed is answered with 403; localhost is the browser's end of the ssh tunnel.
    assert "deploy/mlflow_server.sh /shared/mlflow $(hostname -I | cut -d' ' -f1) street-head:5000 " in server
    assert server.endswith(" localhost:5000")
    assert [line for line in commands(config) if "mlflow server" in line] == []


def test_no_secret_stands_in_the_file(text):
    assert re.findall(r"(?i)(password|secret|token) *[=:] *[^\s/~]", text.replace("RAY_AUTH_MODE=token", "")) == []


def test_every_node_knows_the_servers_name(config):
    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert any("street-head" in line and "/etc/hosts" in line for line in config[name])


def test_what_must_outlive_the_cluster_lies_on_the_shared_file_system(config, text):
    (mount,) = config["initialization_commands"]
    assert "mount -t nfs4" in mount
    assert [line for line in commands(config) if "mlflow_server.sh /shared/mlflow " in line]
    assert "--storage /shared/" in text
    assert "--data /shared/" in text


def test_launch_line_of_the_comments_is_understood(text):
    """The command in the comments has only options that `launch` has, and all that it needs."""
    (line,) = re.findall(r"python -m search launch (.*?)\n#\n", text.replace("\\\n#", ""), re.DOTALL)
    launch = typer.main.get_command(app).commands["launch"]
    launch.parse_args(typer.Context(launch), line.split())
