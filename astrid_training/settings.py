"""Where everything lies and who said so: argument > environment > config.toml > embedded stack."""

import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from json import dumps
from pathlib import Path
from types import MappingProxyType

from astrid_training.urls import mask_url, normalise

__all__ = [
    "DEFAULT_HOME",
    "EMBEDDED",
    "ENVIRONMENT",
    "InvalidSettingError",
    "Settings",
    "SettingsError",
    "apply_environment",
    "prefect_environment",
    "resolve",
    "training_home",
    "write_config",
]

DEFAULT_HOME = "~/.astrid-training"
EMBEDDED = "embedded default"
DERIVED = "ASTRID_TRAINING_DERIVED"

ENVIRONMENT = MappingProxyType(
    {
        "database_url": "ASTRID_DATABASE_URL",
        "store_url": "ASTRID_STORE_URL",
        "store_endpoint_url": "CLOUDFLARE_R2_ENDPOINT_URL",
        "store_access_key_id": "CLOUDFLARE_R2_ACCESS_KEY_ID",
        "store_secret_access_key": "CLOUDFLARE_R2_SECRET_ACCESS_KEY",
        "store_region": "ASTRID_STORE_REGION",
        "source_bucket": "CLOUDFLARE_R2_BUCKET_NAME",
        "source_hosts": "ASTRID_SOURCE_HOSTS",
        "source_folders": "ASTRID_SOURCE_FOLDERS",
        "downloads_at_once": "ASTRID_DOWNLOADS_AT_ONCE",
        "loader_cache_gb": "ASTRID_LOADER_CACHE_GB",
        "prefect_api_url": "PREFECT_API_URL",
        "prefect_ui_url": "PREFECT_UI_URL",
        "mlflow_tracking_uri": "MLFLOW_TRACKING_URI",
        "notify_url": "ASTRID_NOTIFY_URL",
        "redis_url": "REDIS_URL",
    }
)
"""Each setting and the environment variable that sets it."""

SECRETS = frozenset({"store_access_key_id", "store_secret_access_key", "notify_url"})
HEADER = (
    "# Written by astrid-training. The keys above [embedded] are yours and win over those in it;\n"
    "# `astrid-training up` and `down` keep [embedded]. Comments are not kept.\n"
)
QUIET = MappingProxyType(
    {
        "DO_NOT_TRACK": "true",  # "true" is the one spelling that Prefect and MLflow both read
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # 20 s fail on a loaded machine
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",  # a run starts within seconds of its event
    }
)


class SettingsError(LookupError):
    """A setting that is needed has no value anywhere."""


class InvalidSettingError(SettingsError, ValueError):
    """A setting has a value that nothing can be done with."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one home; asking for one that has no value raises `SettingsError`."""

    home: Path
    values: Mapping[str, str] = field(repr=False)
    """Setting name -> value, for those that have one; holds secrets."""
    sources: dict[str, str]
    """Setting name -> `argument`, `environment NAME`, `config.toml` or `embedded default`."""

    @property
    def database_url(self) -> str:
        """PostgreSQL, as `postgresql+psycopg://user:password@host:port/database`."""
        return self._needed("database_url")

    @property
    def store_url(self) -> str:
        """Where we write: `file:///folder` or `s3://bucket/prefix`."""
        return self._needed("store_url")

    @property
    def store_endpoint_url(self) -> str | None:
        """The S3 server, or None for AWS itself."""
        return self.get("store_endpoint_url")

    @property
    def store_access_key_id(self) -> str | None:
        """The store's access key."""
        return self.get("store_access_key_id")

    @property
    def store_secret_access_key(self) -> str | None:
        """The store's secret key."""
        return self.get("store_secret_access_key")

    @property
    def store_region(self) -> str:
        """The store's region; R2 has only `auto`."""
        return self._needed("store_region")

    @property
    def source_bucket(self) -> str | None:
        """The bucket in which bare source keys lie; None means the store itself."""
        return self.get("source_bucket")

    @property
    def source_hosts(self) -> list[str]:
        """The web servers that source files may be read from, each `host` or `host:port`."""
        return [host for host in (self.get("source_hosts") or "").split(",") if host]

    @property
    def source_folders(self) -> list[str] | None:
        """The folders that source files may lie in beside the store; None: any that can be read."""
        folders = self.get("source_folders")
        return None if folders is None else [one for one in folders.split(",") if one]

    @property
    def downloads_at_once(self) -> int:
        """How many source files this machine fetches side by side."""
        return int(self._needed("downloads_at_once"))

    @property
    def loader_cache_bytes(self) -> int:
        """How much the loader's copies of datasets may take on this machine."""
        return int(float(self._needed("loader_cache_gb")) * 1e9)

    @property
    def prefect_api_url(self) -> str:
        """Prefect's API, as `http://host:port/api`."""
        return self._needed("prefect_api_url")

    @property
    def prefect_ui_url(self) -> str:
        """Prefect's pages for people."""
        return self.get("prefect_ui_url") or self.prefect_api_url.removesuffix("/api")

    @property
    def mlflow_tracking_uri(self) -> str:
        """MLflow's tracking server."""
        return self._needed("mlflow_tracking_uri")

    @property
    def notify_url(self) -> str | None:
        """Where alerts go; secret. None: nobody is told."""
        return self.get("notify_url")

    @property
    def redis_url(self) -> str:
        """AstrID's message broker, as `redis://:password@host:6379/0`."""
        return self._needed("redis_url")

    def get(self, name: str) -> str | None:
        """Return the setting's value, or None if it has none."""
        return self.values.get(name)

    def shown(self) -> dict[str, str]:
        """Return all values as people may see them: keys and passwords masked."""
        return {
            name: "***" if name in SECRETS else mask_url(value)
            for name, value in self.values.items()
        }

    def __repr__(self) -> str:
        shown = "".join(f", {name}={value!r}" for name, value in self.shown().items())
        return f"Settings(home={str(self.home)!r}{shown})"

    def _needed(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise SettingsError(
                f"no {name}: neither {ENVIRONMENT[name]} nor {self.home / 'config.toml'} has it; "
                f"run `astrid-training up` or set {ENVIRONMENT[name]}"
            )
        return value


def training_home(home: Path | str | None = None) -> Path:
    """Return the absolute home: the argument, else $ASTRID_TRAINING_HOME, else the default."""
    chosen = home or os.environ.get("ASTRID_TRAINING_HOME") or DEFAULT_HOME
    return Path(chosen).expanduser().resolve()


def resolve(home: Path | str | None = None, **overrides: str | None) -> Settings:
    """Return the settings of `home`, each from the first place that has it.

    Nothing is contacted and nothing is written.

    Args:
        home: the folder of the embedded stack; see `training_home`.
        overrides: settings by name, which win over everything; None counts as not given.

    Raises:
        InvalidSettingError: if a value or config.toml cannot be understood.
        TypeError: if an override is not a setting.
    """
    if unknown := overrides.keys() - ENVIRONMENT.keys():
        raise TypeError(f"no setting {sorted(unknown)}; the settings are {sorted(ENVIRONMENT)}")
    place = training_home(home)
    config = _read_config(place)
    defaults = {
        "store_url": (place / "store").as_uri(),
        "store_region": "auto",
        "downloads_at_once": "64",
        "loader_cache_gb": "50",
    }
    layers = [
        ("argument", {name: value for name, value in overrides.items() if value}),
        ("environment {}", _chosen_environment()),
        ("config.toml", config[""]),
        (EMBEDDED, defaults | config["embedded"]),
    ]
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for source, layer in layers:
        for name in layer.keys() - values.keys():
            sources[name] = source.format(ENVIRONMENT[name])
            values[name] = _normalised(name, layer[name], sources[name])
            if layer[name].startswith("r2://"):
                _check_endpoint(layers)
    ordered = {name: values[name] for name in ENVIRONMENT if name in values}
    return Settings(place, MappingProxyType(ordered), sources)


def write_config(
    home: Path | str | None, values: Mapping[str, str | None], *, embedded: bool = False
) -> Path:
    """Merge `values` into the home's config.toml and return its path; None removes a key.

    The file is replaced in one step and only its owner can read it.

    Args:
        home: see `training_home`; made with mode 0700 if it is not there.
        values: settings by name.
        embedded: write what the embedded stack says, not what a person chose.

    Raises:
        InvalidSettingError: if the file that is there cannot be understood.
    """
    place = training_home(home)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = _read_config(place)
    table = config["embedded" if embedded else ""]
    for name, value in values.items():
        table.pop(name, None)
        if value is not None:
            table[name] = value
    lines = [f"{name} = {dumps(value)}" for name, value in config[""].items()]
    lines += ["", "[embedded]"]
    lines += [f"{name} = {dumps(value)}" for name, value in config["embedded"].items()]
    path = place / "config.toml"
    with tempfile.NamedTemporaryFile("w", dir=place, delete=False, encoding="utf-8") as partial:
        partial.write(HEADER + "\n".join(lines) + "\n")  # tempfile's mode is 0600
    Path(partial.name).replace(path)
    return path


def prefect_environment(settings: Settings) -> dict[str, str]:
    """Return the variables under which Prefect and MLflow find their servers and keep quiet.

    A quiet default yields to a variable that is set already.
    """
    direct = {
        "ASTRID_TRAINING_HOME": str(settings.home),
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # a pickle runs what it holds
        "NO_PROXY": _beside_loopback(os.environ.get("NO_PROXY", "")),
        "no_proxy": _beside_loopback(os.environ.get("no_proxy", "")),
    }
    servers = {
        ENVIRONMENT[name]: value
        for name in ("prefect_api_url", "prefect_ui_url", "mlflow_tracking_uri")
        if (value := settings.get(name)) is not None
    }
    derived = [
        f"{variable}={value}"
        for variable, value in servers.items()
        if settings.sources[_SETTING[variable]] in {"config.toml", EMBEDDED}
    ]
    quiet = {name: os.environ.get(name, value) for name, value in QUIET.items()}
    return quiet | direct | servers | {DERIVED: " ".join(derived)}


def apply_environment(settings: Settings) -> None:
    """Set `prefect_environment` in this process; call it before Prefect is imported.

    What an earlier call passed on from another home goes: it would look like a person's choice.
    """
    environment = prefect_environment(settings)
    for passed_on in os.environ.get(DERIVED, "").split():
        variable, value = passed_on.split("=", 1)
        if os.environ.get(variable) == value:
            del os.environ[variable]
    os.environ.update(environment)


_SETTING = {variable: name for name, variable in ENVIRONMENT.items()}


def _chosen_environment() -> dict[str, str]:
    """Return what people set, without what `apply_environment` only passed on from config.toml.

    That must not win over config.toml: the stack may have moved to other ports since.
    """
    ours = set(os.environ.get(DERIVED, "").split())
    present = {name: os.environ.get(variable, "") for name, variable in ENVIRONMENT.items()}
    return {
        name: value
        for name, value in present.items()
        if value and f"{ENVIRONMENT[name]}={value}" not in ours
    }


def _read_config(home: Path) -> dict[str, dict[str, str]]:
    """Return config.toml's own keys under "" and those of its table under "embedded"."""
    path = home / "config.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"": {}, "embedded": {}}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettingError(f"{path} is not TOML: {error}; correct or remove it") from error
    except OSError as error:
        raise InvalidSettingError(f"{path} cannot be read: {error.strerror}") from error
    embedded = document.pop("embedded", {})
    pairs = embedded.items() if isinstance(embedded, dict) else [("embedded", embedded)]
    for name, value in [*document.items(), *pairs]:
        if name not in ENVIRONMENT or not isinstance(value, str):
            raise InvalidSettingError(
                f"{path} has {name} = {value!r}; it takes strings named {', '.join(ENVIRONMENT)}"
            )
    return {"": document, "embedded": embedded}


def _normalised(name: str, value: str, source: str) -> str:
    try:
        return normalise(name, value)
    except ValueError as error:
        raise InvalidSettingError(f"{name} (from {source}) {error}") from error


def _check_endpoint(layers: list[tuple[str, dict[str, str]]]) -> None:
    if not any("store_endpoint_url" in layer for _, layer in layers):
        raise InvalidSettingError(
            "the store is an r2:// bucket, but CLOUDFLARE_R2_ENDPOINT_URL is not set; "
            "set it to https://<account>.r2.cloudflarestorage.com"
        )


def _beside_loopback(hosts: str) -> str:
    """Return `hosts` with the loopback names: a proxy must not stand before our own servers."""
    return ",".join(dict.fromkeys([*filter(None, hosts.split(",")), "127.0.0.1", "localhost"]))
