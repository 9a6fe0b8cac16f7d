"""`deploy/local.yaml`, checked without machines: by Ray's own schema and checks, and for what those let pass."""

import ipaddress
import json
import re
from pathlib import Path

import pytest
import ray
import yaml
from jsonschema import Draft7Validator
from ray.autoscaler._private.util import prepare_config, validate_config

SCHEMA = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
SECRET = "~/.ray/auth_token"


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "deploy" / "local.yaml").read_text(encoding="utf-8")


@pytest.fixture
def config(text: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.chdir(root)
    return yaml.safe_load(text)


def commands(config: dict) -> list[str]:
    return [line for name, lines in config.items() if name.endswith("_commands") for line in lines]


def test_file_follows_rays_schema_and_passes_its_checks(config):
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(config)] == []
    prepared = prepare_config(config)
    validate_config(prepared)
    (node_type,) = prepared["available_node_types"].values()
    assert (node_type["min_workers"], node_type["max_workers"]) == (2, 2), "every machine is used, always"


def test_provider_has_only_keys_that_ray_reads(config):
    assert set(config["provider"]) == {"type", "head_ip", "worker_ips"}
    assert config["provider"]["type"] == "local"
    addresses = [config["provider"]["head_ip"], *config["provider"]["worker_ips"]]
    assert len(set(map(ipaddress.ip_address, addresses))) == 3
    assert not {"head_node", "worker_nodes", "available_node_types"} & set(config), "Ray refuses them for own machines"


def test_the_whole_project_and_the_token_are_sent(config, root):
    sent = dict(config["file_mounts"])
    assert sent.pop("/home/ubuntu/.ray/auth_token") == SECRET
    assert set(sent.values()) == {"requirements.txt", "search", "segcore", "spaces", "deploy"}
    assert all((root / source).exists() and Path(target).name == source for target, source in sent.items())
    assert {Path(target).parent for target in sent} == {Path("/home/ubuntu/street-search")}


def test_every_side_uses_the_token_and_nothing_listens_on_every_address(config):
    starts = [line for line in commands(config) if "ray start" in line]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert any("RAY_AUTH_MODE=token" in line and ".profile" in line for line in config["setup_commands"])
    assert [line for line in commands(config) if "0.0.0.0" in line] == []
    assert "--dashboard-host=127.0.0.1" in starts[0]


def test_the_head_starts_the_other_machines(config):
    (start,) = (line for line in config["head_start_ray_commands"] if "ray start" in line)
    assert "RAY_enable_autoscaler_v2=0" in start, "Ray's newer autoscaler starts none"
    assert "ssh_private_key" in config["auth"], "the head has no key of its own"


def test_ray_down_finds_ray_on_the_head(config):
    assert any("PATH=~/venv/bin:$PATH' >> ~/.profile" in line for line in config["setup_commands"])


def test_a_job_finds_the_python_that_has_the_packages(config):
    (start,) = (line for line in config["head_start_ray_commands"] if "ray start" in line)
    assert "PATH=~/venv/bin:$PATH" in start


def test_ray_understands_how_it_is_started(config, understand):
    for line in commands(config):
        if found := re.search(r"ray (start .*)", line):
            understand(f"ray {found.group(1)}")


def test_mlflow_is_the_one_that_the_launch_line_names(config, text):
    head = config["provider"]["head_ip"]
    (server,) = (line for line in config["head_start_ray_commands"] if "mlflow_server.sh" in line)
    assert f"/shared/mlflow {head} {head}:5000 localhost:5000" in server
    assert f"--tracking-uri http://{head}:5000" in text


def test_launch_line_of_the_comments_is_understood(text, understand):
    (line,) = re.findall(r"(python -m search launch .*?)\n#   ray down", text.replace("\\\n#", ""), re.DOTALL)
    options = understand(line)
    assert options["or_resume"] is True
    assert str(options["storage"]).startswith("/shared/")
