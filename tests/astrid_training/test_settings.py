"""One resolver says where everything lies: argument > environment > config.toml > embedded."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from astrid_training.settings import (
    DERIVED,
    ENVIRONMENT,
    InvalidSettingError,
    SettingsError,
    apply_environment,
    prefect_environment,
    resolve,
    training_home,
    write_config,
)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*ENVIRONMENT.values(), "ASTRID_TRAINING_HOME", DERIVED):
        monkeypatch.delenv(variable, raising=False)


def test_each_source_wins_over_those_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> tuple[str, str]:
        settings = resolve(tmp_path)
        return settings.mlflow_tracking_uri, settings.sources["mlflow_tracking_uri"]

    write_config(tmp_path, {"mlflow_tracking_uri": "http://stack"}, embedded=True)
    assert found() == ("http://stack", "embedded default")
    write_config(tmp_path, {"mlflow_tracking_uri": "http://config"})
    assert found() == ("http://config", "config.toml")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://environment")
    assert found() == ("http://environment", "environment MLFLOW_TRACKING_URI")
    settings = resolve(tmp_path, mlflow_tracking_uri="http://argument")
    assert settings.mlflow_tracking_uri == "http://argument"
    assert settings.sources["mlflow_tracking_uri"] == "argument"


def test_an_empty_variable_counts_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTRID_STORE_URL", "")

    assert resolve(tmp_path).sources["store_url"] == "embedded default"


def test_a_bare_home_has_a_directory_store_and_no_servers(tmp_path: Path) -> None:
    home = tmp_path / "a home"  # the space must survive the way into a URL

    settings = resolve(home)

    assert settings.store_url == f"file://{tmp_path}/a%20home/store"
    assert settings.store_region == "auto"
    assert settings.source_bucket is None
    assert not home.exists()  # asking makes nothing


@pytest.mark.parametrize("name", ["database_url", "prefect_api_url", "mlflow_tracking_uri"])
def test_a_value_that_is_nowhere_is_an_error_only_when_asked_for(tmp_path: Path, name: str) -> None:
    settings = resolve(tmp_path)

    assert settings.get(name) is None
    with pytest.raises(SettingsError, match=f"no {name}.*{ENVIRONMENT[name]}.*astrid-training up"):
        getattr(settings, name)


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u:p@h:5432/d", "postgresql+psycopg://u:p@h:5432/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg://u@h/d"),
        (
            "postgresql+asyncpg://u:p@h/d?ssl=require",
            "postgresql+psycopg://u:p@h/d?sslmode=require",
        ),
    ],
)
def test_every_spelling_of_a_postgresql_address_is_understood(
    tmp_path: Path, written: str, understood: str
) -> None:
    assert resolve(tmp_path, database_url=written).database_url == understood


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("s3://bucket/some/prefix/", "s3://bucket/some/prefix"),
        ("r2://bucket/prefix", "s3://bucket/prefix"),
        ("file:///data/store/", "file:///data/store"),
        ("/data/my store", "file:///data/my%20store"),
    ],
)
def test_every_spelling_of_a_store_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, understood: str
) -> None:
    monkeypatch.setenv("CLOUDFLARE_R2_ENDPOINT_URL", "https://account.r2.cloudflarestorage.com")

    assert resolve(tmp_path, store_url=written).store_url == understood


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("database_url", "sqlite:///x.db", "write postgresql://"),
        ("database_url", "mysql://u:secret@h/d", "write postgresql://"),
        ("store_url", "gs://bucket", "write s3://"),
        ("store_url", "s3://", "write s3://"),
        ("store_url", "relative/folder", "write s3://"),
        ("prefect_api_url", "localhost:4200/api", "write http://"),
        ("store_endpoint_url", "account.r2.cloudflarestorage.com", "write http://"),
        ("downloads_at_once", "0", "write a whole number"),
        ("downloads_at_once", "many", "write a whole number"),
    ],
)
def test_a_value_nothing_can_be_done_with_is_refused_with_its_source_and_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, cure: str
) -> None:
    monkeypatch.setenv(ENVIRONMENT[name], value)

    with pytest.raises(InvalidSettingError, match=f"environment {ENVIRONMENT[name]}") as refusal:
        resolve(tmp_path)

    assert cure in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_an_r2_store_without_its_endpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="CLOUDFLARE_R2_ENDPOINT_URL"):
        resolve(tmp_path, store_url="r2://bucket")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("database_url = ", "is not TOML"),
        ('databse_url = "postgresql://h/d"', "databse_url"),
        ("store_url = 5", "takes strings"),
        ("embedded = 5", "embedded"),
    ],
)
def test_a_config_file_that_cannot_be_understood_is_named(
    tmp_path: Path, text: str, cause: str
) -> None:
    (tmp_path / "config.toml").write_text(text)

    with pytest.raises(InvalidSettingError, match=cause) as refusal:
        resolve(tmp_path)

    assert str(tmp_path / "config.toml") in str(refusal.value)


def test_an_unknown_override_is_a_programming_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="no setting"):
        resolve(tmp_path, databse_url="postgresql://h/d")


def test_no_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_R2_ACCESS_KEY_ID", "hidden-id")
    monkeypatch.setenv("CLOUDFLARE_R2_SECRET_ACCESS_KEY", "hidden-key")
    settings = resolve(
        tmp_path,
        database_url="postgresql://astrid:hidden-password@h/d?password=hidden-too",
        mlflow_tracking_uri="https://me:hidden-as-well@mlflow.example",
    )

    assert "hidden" not in repr(settings) + str(settings.shown())
    assert "astrid:***@h/d" in repr(settings)
    assert settings.store_secret_access_key == "hidden-key"


def test_the_config_file_is_private_and_keeps_what_it_was_not_told_of(tmp_path: Path) -> None:
    home = tmp_path / "home"
    password = 'postgresql://u:pass"word\\@h/d'  # what TOML must escape

    write_config(home, {"database_url": password, "source_bucket": "astrid"})
    write_config(home, {"mlflow_tracking_uri": "http://127.0.0.1:5000"}, embedded=True)
    path = write_config(home, {"source_bucket": None})

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    settings = resolve(home)
    assert settings.database_url.endswith('pass"word\\@h/d')
    assert settings.mlflow_tracking_uri == "http://127.0.0.1:5000"
    assert settings.source_bucket is None
    assert list(home.iterdir()) == [path]  # no half-written file is left


def test_the_home_is_argument_then_variable_then_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert training_home() == tmp_path.resolve() / ".astrid-training"
    monkeypatch.setenv("ASTRID_TRAINING_HOME", "~/elsewhere")
    assert training_home() == tmp_path.resolve() / "elsewhere"
    assert training_home(tmp_path) == tmp_path.resolve()


def test_what_was_passed_on_from_the_config_does_not_outlive_a_change_of_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    write_config(tmp_path, {"prefect_api_url": "http://127.0.0.1:4200/api"}, embedded=True)
    apply_environment(resolve(tmp_path))
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"

    write_config(tmp_path, {"prefect_api_url": "http://127.0.0.1:4300/api"}, embedded=True)

    assert resolve(tmp_path).prefect_api_url == "http://127.0.0.1:4300/api"
    write_config(tmp_path, {"prefect_api_url": None}, embedded=True)
    assert resolve(tmp_path).get("prefect_api_url") is None


def test_what_was_passed_on_from_one_home_is_no_choice_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    server = "http://127.0.0.1:4200"
    write_config(
        tmp_path / "a",
        {"prefect_api_url": f"{server}/api", "prefect_ui_url": server},
        embedded=True,
    )
    apply_environment(resolve(tmp_path / "a"))
    other = {"prefect_api_url": "http://127.0.0.1:4300/api"}

    apply_environment(resolve(tmp_path / "b", **other))

    assert os.environ["PREFECT_API_URL"] == other["prefect_api_url"]
    assert "PREFECT_UI_URL" not in os.environ
    assert resolve(tmp_path / "b", **other).prefect_ui_url == "http://127.0.0.1:4300"


def test_what_a_person_set_stays_the_persons_choice_in_child_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example/api")
    write_config(tmp_path, {"prefect_api_url": "http://127.0.0.1:4200/api"}, embedded=True)

    apply_environment(resolve(tmp_path))

    again = resolve(tmp_path)
    assert again.prefect_api_url == "https://prefect.example/api"
    assert again.sources["prefect_api_url"] == "environment PREFECT_API_URL"


def test_prefect_keeps_its_data_in_the_home_and_passes_no_pickles(tmp_path: Path) -> None:
    environment = prefect_environment(resolve(tmp_path))

    assert environment["PREFECT_HOME"] == f"{tmp_path}/prefect"
    assert environment["PREFECT_RESULTS_DEFAULT_SERIALIZER"] == "json"
    assert environment["ASTRID_TRAINING_HOME"] == str(tmp_path)
    assert "PREFECT_API_URL" not in environment  # nobody has said where it is


def test_no_proxy_stands_before_our_own_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet.example,localhost")

    environment = prefect_environment(resolve(tmp_path))

    assert environment["NO_PROXY"] == "intranet.example,localhost,127.0.0.1"


def test_a_persons_own_quiet_setting_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_WORKER_QUERY_SECONDS", "30")

    assert prefect_environment(resolve(tmp_path))["PREFECT_WORKER_QUERY_SECONDS"] == "30"


def test_prefect_knows_every_setting_that_we_give_it(tmp_path: Path) -> None:
    code = (
        "import json; from prefect.settings import get_current_settings as now; s = now();"
        "print(json.dumps([str(s.home), s.results.default_serializer, s.worker.query_seconds,"
        "s.server.analytics_enabled, s.server.ui.show_promotional_content,"
        "s.server.ephemeral.startup_timeout_seconds, s.cli.prompt, s.api.url]))"
    )
    settings = resolve(tmp_path, prefect_api_url="http://127.0.0.1:9/api")
    environment = os.environ | prefect_environment(settings)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    home, *values = json.loads(done.stdout)
    assert home == f"{tmp_path}/prefect"
    assert values == ["json", 2, False, False, 180, False, "http://127.0.0.1:9/api"]


def test_settings_import_neither_prefect_nor_mlflow() -> None:
    code = "import sys, astrid_training.settings; print({'prefect', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_hosts_are_listed_with_commas_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve(tmp_path).source_hosts == []

    monkeypatch.setenv("ASTRID_SOURCE_HOSTS", " Archive.example.org, 10.0.0.5:8080,,[2001:DB8::1] ")

    hosts = resolve(tmp_path).source_hosts
    assert hosts == ["archive.example.org", "10.0.0.5:8080", "[2001:db8::1]"]


@pytest.mark.parametrize(
    "listed",
    ["https://archive.example.org", "*.example.org", "a.org/data", "a.org b.org", "a..org"],
)
def test_what_is_no_host_is_refused_with_an_example(tmp_path: Path, listed: str) -> None:
    with pytest.raises(InvalidSettingError, match=r"source_hosts .*such as archive\.example"):
        resolve(tmp_path, source_hosts=listed)


def test_folders_are_listed_with_commas_between_and_none_is_not_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve(tmp_path).source_folders is None

    monkeypatch.setenv("ASTRID_SOURCE_FOLDERS", " /data, /archive/2026,")
    assert resolve(tmp_path).source_folders == ["/data", "/archive/2026"]
    monkeypatch.setenv("ASTRID_SOURCE_FOLDERS", ",")
    assert resolve(tmp_path).source_folders == []
    with pytest.raises(InvalidSettingError, match=r"source_folders .*absolute paths"):
        resolve(tmp_path, source_folders="data")
