"""Alerts and dashboard: they use existing metrics, and the alerts fire when they should."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.images import register
from tests.support.programs import ROOT, needs

RULES = ROOT / "deploy/prometheus/rules.yaml"
SCRAPE = ROOT / "deploy/prometheus/scrape.yaml"
DASHBOARD = ROOT / "deploy/grafana/dashboard.json"
# Metrics of Prometheus itself and of kube-state-metrics.
FOREIGN = {"up", "kube_pod_container_status_restarts_total"}
_METRIC = re.compile(r"\b(up|(?:algoplatform|kube)[a-z0-9_:]*)\b(?=\s*[{\[)=<>+-]|\s*$|,)")


def rules() -> list[dict[str, Any]]:
    """Return the rules of all groups."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    """Return all expressions of the rules and the dashboard."""
    dashboard = json.loads(DASHBOARD.read_text())
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries = [item["query"] for item in dashboard["templating"]["list"] if item["type"] == "query"]
    return [*(rule["expr"] for rule in rules()), *targets, *queries]


def used(expression: str) -> set[str]:
    """Return the metrics in an expression; quoted text is no metric."""
    return set(_METRIC.findall(re.sub(r'"[^"]*"', '""', expression)))


async def test_every_metric_exists(client: httpx.AsyncClient) -> None:
    """Each metric and label is one of the service's, or one that Prometheus always provides."""
    await register(client)
    page = (await client.get("/metrics")).text
    given = set(re.findall(r"^([a-z_:]+)", page, re.MULTILINE)) | FOREIGN
    given |= {rule["record"] for rule in rules() if "record" in rule}
    for expression in expressions():
        assert used(expression), expression
        assert used(expression) <= given, expression
    assert 'route="/algoPlatform/images/_register",status="200"' in page
    assert "algoplatform_gone" not in given
    assert used("rate(algoplatform_gone[5m])") == {"algoplatform_gone"}


def test_alerts_are_explained() -> None:
    """Each alert states severity, what happened and what to do; dashboard panels do not overlap."""
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("critical", "warning")
            assert {"summary", "action"} <= rule["annotations"].keys()
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells
        assert at["x"] + at["w"] <= 24
        cells |= own


SERIES = {
    "AlgoplatformDown": {'up{job="algoplatform"}': "0x30"},
    "AlgoplatformDatabaseDown": {"algoplatform_database_up": "0x30"},
    "AlgoplatformReplicaWithoutDatabase": {'algoplatform_database_up{instance="a"}': "0x30"},
    "AlgoplatformErrors": {
        'algoplatform_http_request_duration_seconds_count{route="/x",status="200"}': "0+900x30",
        'algoplatform_http_request_duration_seconds_count{route="/x",status="503"}': "0+100x30",
        # Probes must not count: their successes do not dilute the error
        # rate, and their failures are no errors.
        'algoplatform_http_request_duration_seconds_count{route="/healthz",status="200"}': "0+90000x30",
        'algoplatform_http_request_duration_seconds_count{route="/readyz",status="503"}': "0+0x30",
    },
    "AlgoplatformSlow": {
        'algoplatform_http_request_duration_seconds_bucket{le="1",route="/metrics"}': "0+90000x30",
        'algoplatform_http_request_duration_seconds_bucket{le="+Inf",route="/metrics"}': "0+90000x30",
        'algoplatform_http_request_duration_seconds_bucket{le="1",route="/x"}': "0+900x30",
        'algoplatform_http_request_duration_seconds_bucket{le="2.5",route="/x"}': "0+1000x30",
        'algoplatform_http_request_duration_seconds_bucket{le="+Inf",route="/x"}': "0+1000x30",
    },
    "AlgoplatformPoolExhausted": {
        "algoplatform_pool_connections_open": "10x30",
        "algoplatform_pool_connections_idle": "0x30",
        "algoplatform_pool_connections_max": "10x30",
    },
    "AlgoplatformRestarting": {'kube_pod_container_status_restarts_total{container="algoplatform"}': "0+1x30"},
}


def healthy(alert: str) -> dict[str, str]:
    """Return the alert's series with healthy values."""
    values = {
        "AlgoplatformDown": ["1x30"],
        "AlgoplatformErrors": ["0+1000x30", "0+1x30", "0+0x30", "0+90000x30"],
        "AlgoplatformSlow": ["0+0x30", "0+90000x30", "0+1000x30", "0+1000x30", "0+1000x30"],
        "AlgoplatformPoolExhausted": ["10x30", "9x30", "10x30"],
        "AlgoplatformRestarting": ["1x30"],
    }.get(alert, ["1x30"])
    return dict(zip(SERIES[alert], values, strict=True))


@needs("promtool")
def test_alerts_go_off(tmp_path: Path) -> None:
    """Prometheus fires each alert on faulty series, and not on healthy ones."""
    alerts = [rule["alert"] for rule in rules() if "alert" in rule]
    assert set(alerts) == set(SERIES)
    shutil.copy(RULES, tmp_path / "rules.yaml")
    tests = []
    for alert in alerts:
        for series, firing in ((SERIES[alert], 1), (healthy(alert), 0)):
            tests.append(
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in series.items()],
                    "promql_expr_test": [
                        {
                            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                            "eval_time": "29m",
                            "exp_samples": [{"labels": "{}", "value": firing}],
                        }
                    ],
                }
            )
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_probes_are_no_callers() -> None:
    """Every expression that counts requests excludes probes and scrapes, or selects operations only."""
    for expression in expressions():
        for labels in re.findall(r"algoplatform_http_request_duration_seconds_\w+(\{[^}]*\})?", expression):
            assert "/(healthz|readyz|metrics)" in labels or 'route=~".*/_(upload|load)"' in labels, expression


@needs("promtool")
def test_scraped(tmp_path: Path) -> None:
    """Prometheus accepts the scrape configuration: the rules' job name, the pods' own annotations."""
    [job] = yaml.safe_load(SCRAPE.read_text())["scrape_configs"]
    assert job["kubernetes_sd_configs"] == [{"role": "pod"}]
    # Debian's promtool is built without Kubernetes discovery.
    known = {name: value for name, value in job.items() if name != "kubernetes_sd_configs"}
    file = tmp_path / "scrape.yaml"
    file.write_text(yaml.safe_dump({"scrape_configs": [known | {"static_configs": [{"targets": ["127.0.0.1:8000"]}]}]}))
    done = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'up{{job="{job["job_name"]}"}}' in RULES.read_text()
    pod = yaml.safe_load((ROOT / "deploy/kubernetes/base/deployment.yaml").read_text())["spec"]["template"]["metadata"]
    for kind in ("label", "annotation"):
        prefix = f"__meta_kubernetes_pod_{kind}_"
        used = {name for rule in job["relabel_configs"] for name in rule["source_labels"] if name.startswith(prefix)}
        assert used <= {prefix + re.sub(r"\W", "_", name) for name in pod[f"{kind}s"]}
        assert used


@needs("promtool")
def test_queries_parse(tmp_path: Path) -> None:
    """Prometheus parses every query, with Grafana's variables substituted."""
    queries = [
        query.replace("$__rate_interval", "5m").replace("$job", ".*")
        for query in expressions()
        if not query.startswith("label_values(")
    ]
    file = tmp_path / "rules.yaml"
    records = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": records}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
