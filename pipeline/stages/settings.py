"""The settings of each stage, read once: defaults < environment (`TTD_…`) < command line."""

import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn, Self

from pydantic import (
    AwareDatetime,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.stages.command_line import (
    ENVIRONMENT_PREFIX,
    option_of,
    parse_arguments,
    refuse_unknown_variables,
    variable_of,
)
from pipeline.stages.log_lines import LogFormat
from pipeline.stages.logs import LogLevel
from pipeline.stages.messages import one_line
from pipeline.stages.surroundings import COMMIT_VARIABLE

SAMPLE_STORE = Path(__file__).resolve().parents[2] / "data"
DEFAULT_STORE = str(SAMPLE_STORE) if (SAMPLE_STORE / "datasets").is_dir() else ""
"""Empty, and refused, in an installed package, which has no sample store beside it."""
STORE_SECONDS = 60.0
"""A deployment waits for a stage that waits for its store."""
COMMANDS = ("ttd-train", "ttd-serve", "ttd-models", "ttd-check")
SECRETS = {"alert_webhook", "api_key"}
"""Settings whose value is never shown."""
ORIGIN = r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]+)?"
"""A scheme, a host and perhaps a port; apps in a web view have schemes of their own."""
IMPLIED_PORTS = {"http": ":80", "https": ":443"}
FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)


def git_commit() -> str | None:
    """Return the commit of the code that the environment names, or None if it names none.

    A stage does not start in a checkout of another commit.
    """
    return os.environ.get(COMMIT_VARIABLE) or None


class StageSettings(BaseSettings):
    """Settings that every stage has."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # one setting is a secret
    )
    program: ClassVar[str]
    """What starts the stage."""
    options_title: ClassVar[str] = "log"
    """What its options are about, in the help."""
    examples: ClassVar[tuple[str, ...]] = ()
    """Command lines for the end of the help."""

    log_level: LogLevel = Field(
        default="INFO", description="least severe log lines to show; DEBUG adds tracebacks"
    )
    log_format: LogFormat = Field(
        default="text", description="log lines for people (text) or for machines (json)"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_line_breaks(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take off the line break that a file or a secret ends in, which nobody sees."""
        return {
            name: value.rstrip("\r\n") if isinstance(value, str) else value
            for name, value in values.items()
        }

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Self:
        """Return the settings for these command line arguments and the environment.

        Ends the process with exit code 2 when they are wrong, and with 0 after `--help`.
        """
        program = _program(cls)
        given = parse_arguments(cls, arguments, program, cls.examples)
        refuse_unknown_variables(_all_names(), program)
        try:
            return cls(**given)
        except ValidationError as error:
            _exit_with_usage_errors(cls, error)


def refuse_unknown_scheme(store: str) -> str:
    """Refuse other schemes than S3's, S3 without a bucket, and nothing at all."""
    is_folder = "://" not in store and store.strip() != ""
    if not is_folder and not re.fullmatch(r"s3://[^/]+(/.*)?", store):
        raise ValueError("should be s3://bucket[/prefix] or the path of a folder")
    return store


def refuse_no_key(key: str | None, kind: str) -> str | None:
    """Refuse what is no key: nothing, which would mean the newest, or what leads elsewhere.

    Args:
        key: what was given, or None if nothing was.
        kind: what it is the key of.
    """
    if key is None:
        return None
    if not key.strip():
        raise ValueError(f"should be the key of a {kind}; leave it out for the newest")
    if ".." in key.split("/") or key.startswith("/") or one_line(key) != key:
        raise ValueError(
            f"should be the key of a {kind} as the store lists it, without .. and line breaks"
        )
    return key


class StoreSettings(StageSettings):
    """Settings of a stage that works with a store."""

    options_title = "store"

    store: str = Field(
        default=DEFAULT_STORE,
        description="where datasets and models are: s3://bucket[/prefix] or a folder; for a model "
        "that is installed, package: and the name of its package",
    )
    store_seconds: float = Field(
        default=STORE_SECONDS,
        gt=0,
        allow_inf_nan=False,
        description="how long S3 is waited for in a row; what comes faster than 100 kB a second is "
        "not waited for",
    )

    @field_validator("store")
    @classmethod
    def _known_scheme(cls, store: str) -> str:
        return refuse_unknown_scheme(store)


class AlertSettings(StageSettings):
    """Settings of a stage that tells people something through a webhook."""

    options_title = "alerts"

    alert_webhook: SecretStr | None = Field(
        default=None,
        description="URL that refusals and failures are posted to, as Slack expects them, or none",
    )

    @property
    def webhook_url(self) -> str | None:
        """The URL that alerts are posted to, in plain text."""
        return self.alert_webhook.get_secret_value() if self.alert_webhook else None

    @field_validator("alert_webhook")
    @classmethod
    def _url_or_none(cls, webhook: SecretStr | None) -> SecretStr | None:
        """Refuse an empty URL, so that a lost secret does not silence alerts."""
        url = "none" if webhook is None else webhook.get_secret_value().strip()
        if url != "none" and not re.match("https?://[^/]", url):
            raise ValueError(
                "should be a URL that begins with http:// or https:// and a host, or the word none"
            )
        return None if url == "none" else SecretStr(url)


class NotifySettings(AlertSettings):
    """Tell people through a webhook that a deployment failed, and why, as Bodywork has it."""

    program = "python -m pipeline.notify_failure"
    options_title = "store"

    store: str | None = Field(
        default=None, description="store to keep the alert in if the webhook does not take it"
    )

    @field_validator("store")
    @classmethod
    def _known_scheme(cls, store: str | None) -> str | None:
        return None if store is None else refuse_unknown_scheme(store)


class LimitSettings(StageSettings):
    """Limits that a week and its model have to keep."""

    options_title = "checks of the dataset and of the model"

    r2_error_threshold: float | None = Field(
        default=None, gt=0, le=1, description="refuse a model whose R² is below this"
    )
    r2_warning_threshold: float = Field(
        default=0.9, gt=0, le=1, description="warn when R² is below this"
    )
    max_rejected_share: float = Field(
        default=0.01, ge=0, lt=1, description="refuse a dataset with a larger share of bad rows"
    )

    max_outlier_share: float = Field(
        default=0.05, ge=0, lt=1, description="refuse a week with a larger share of outliers"
    )
    max_unfit_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="refuse a week in which products whose estimates cannot be trusted have a "
        "larger share of the rows",
    )
    interval_level: float = Field(
        default=0.9, gt=0, lt=1, description="share of orders inside their prediction interval"
    )
    estimate: Literal["typical", "mean"] = Field(
        default="typical",
        description="what is estimated: hours that half of the orders take less than (typical), or "
        "those that they take on average (mean)",
    )
    weeks: int = Field(
        default=1,
        ge=1,
        description="learn from the last so many weeks, if that makes the error in the following "
        "week smaller",
    )
    champion_tolerance: float = Field(
        default=0.05,
        ge=0,
        allow_inf_nan=False,
        description="refuse a model whose error exceeds the champion's by more than this share",
    )
    max_shift: float = Field(
        default=2,
        gt=1,
        allow_inf_nan=False,
        description="refuse a week in which the estimates of many products moved by a larger "
        "factor",
    )
    max_trend: float = Field(
        default=1.4,
        gt=1,
        allow_inf_nan=False,
        description="refuse a week in which the estimates of the typical product have moved by a "
        "larger factor since one of the last models",
    )
    max_vanished_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="refuse a week in which products with a larger share of the last rows are "
        "missing",
    )
    max_new_share: float = Field(
        default=0.3, ge=0, le=1, description="refuse a week with a larger share of new products"
    )
    on_drift: Literal["fail", "warn"] = Field(
        default="warn",
        description="refuse a week with any measure of drift outside what is normal (fail), or "
        "only one that is far outside (warn)",
    )
    accept_shift: bool = Field(
        default=False, description="publish although the week is unlike the champion's"
    )
    keep_weeks: int = Field(
        default=8,
        ge=0,
        description="keep the curves of products without orders for so many weeks; 0 for none",
    )

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> Self:
        if (self.r2_error_threshold or 0) > self.r2_warning_threshold:
            raise ValueError(
                f"--r2-error-threshold ({self.r2_error_threshold:g}) should not be above "
                f"--r2-warning-threshold ({self.r2_warning_threshold:g})"
            )
        return self


class WorkSettings(StageSettings):
    """Who does the work on a large week."""

    options_title = "large weeks"

    jobs: int = Field(default=1, ge=1, description="read and fit a large week in so many processes")
    scheduler: str | None = Field(
        default=None,
        description="read and fit a large week on the workers of this Dask scheduler, such as "
        "tcp://10.0.0.1:8786",
    )
    scratch: Path | None = Field(
        default=None,
        description="folder for the rows of a large week, which all workers of a scheduler have to "
        "see under this path; by default that of the system for temporary files",
    )

    @field_validator("scheduler")
    @classmethod
    def _address(cls, scheduler: str | None) -> str | None:
        if scheduler is not None and not re.fullmatch(r"(tcp|tls|ws|wss)://[^/]+:\d+/?", scheduler):
            raise ValueError("should be an address with a port, such as tcp://10.0.0.1:8786")
        return scheduler

    @field_validator("scratch")
    @classmethod
    def _whole_path(cls, scratch: Path | None) -> Path | None:
        """Write the path out, since workers have another current folder."""
        return scratch and scratch.expanduser().absolute()

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.scheduler is not None and self.jobs > 1:
            raise ValueError(
                "--scheduler gives the work to others, and --jobs to processes of this machine: "
                "leave one of them out"
            )
        if self.scheduler is not None and self.scratch is None:
            raise ValueError(
                "--scheduler needs --scratch: a folder that all workers see under the same path"
            )
        return self


class TrainSettings(AlertSettings, StoreSettings, LimitSettings, WorkSettings):
    """Train a model on the newest weekly dataset of a store, check it and publish it there."""

    program = "python -m pipeline.train_model"
    options_title = "training"
    examples = (
        "python -m pipeline.train_model                 train on the sample store",
        "python -m pipeline.train_model s3://my-bucket --on-refusal keep",
    )

    dataset_key: str | None = Field(
        default=None,
        description="key of the dataset to train on, such as datasets/….csv or a folder, instead "
        "of the newest",
    )
    retrain: bool = Field(
        default=False, description="train although the model in production is of the same dataset"
    )
    ignore_champion: bool = Field(
        default=False, description="publish without reading the model in production"
    )
    public_url: str | None = Field(
        default=None,
        description="URL under which people can open what is in the store, for links to reports; "
        "the store itself if there is none",
    )
    on_refusal: Literal["fail", "keep"] = Field(
        default="fail",
        description="after a refusal end with exit code 3 (fail), or with 0 if there is a champion "
        "to go on with (keep)",
    )
    trained_at: AwareDatetime | None = Field(
        default=None,
        description="time that the model says it was trained at, such as 2026-11-23T18:49:11Z, "
        "instead of now: the same week then gives the same bytes again",
    )

    @field_validator("trained_at")
    @classmethod
    def _no_time_to_come(cls, moment: datetime | None) -> datetime | None:
        """Refuse a time that would keep all later models from being the newest."""
        if moment is not None and not FIRST_MOMENT <= moment <= datetime.now(UTC):
            raise ValueError("should be between 1970 and now")
        return moment and moment.astimezone(UTC)

    @field_validator("public_url")
    @classmethod
    def _http_url(cls, url: str | None) -> str | None:
        """Refuse what no browser opens; return the URL without a slash at its end."""
        if url is not None and not re.match("https?://[^/]", url):
            raise ValueError("should be a URL that begins with http:// or https:// and a host")
        return url and url.rstrip("/")

    @field_validator("dataset_key")
    @classmethod
    def _a_key(cls, dataset_key: str | None) -> str | None:
        """Refuse an empty key: whoever sets one does not mean the newest dataset."""
        return refuse_no_key(dataset_key, "dataset")


class CheckSettings(LimitSettings, WorkSettings):
    """Judge a week as train_model would, and write nothing to any store."""

    program = "python -m pipeline.check_dataset"
    options_title = "check"
    examples = (
        "python -m pipeline.check_dataset week.csv                      the file alone",
        "python -m pipeline.check_dataset week.csv --store s3://my-bucket --report week.html",
    )

    file: str = Field(
        description="the CSV, gzipped or not, the Parquet file, or the folder of parts"
    )
    store: str | None = Field(
        default=None, description="store of the model in production, to compare with"
    )
    report: str | None = Field(default=None, description="HTML file to write the report to")

    @field_validator("store")
    @classmethod
    def _known_scheme(cls, store: str | None) -> str | None:
        return None if store is None else refuse_unknown_scheme(store)


class ServeSettings(StoreSettings):
    """Serve predictions of the newest model of a store over HTTP."""

    program = "python -m pipeline.serve_model"
    options_title = "service"
    examples = (
        "python -m pipeline.serve_model                 serve the sample store on port 8000",
        "python -m pipeline.serve_model s3://my-bucket --port 8080 --reload-seconds 60",
    )

    host: str = Field(
        default="127.0.0.1",
        description="address to listen on; :: means every network, over IPv6 and IPv4",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="port; 0 means any free port")
    workers: int = Field(default=1, ge=1, description="processes that answer, all on this port")
    model_key: str | None = Field(
        default=None,
        description="key of the model to serve, such as models/….onnx, instead of the newest",
    )
    reload_seconds: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="look for a newer model this often, and serve it without a restart",
    )
    root_path: str = Field(
        default="", description="prefix that a proxy puts before all paths, such as /dispatch"
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="key that clients send as X-API-Key; several with commas between them",
    )
    open_docs: bool = Field(
        default=True,
        description="show the description of the API, /docs and /openapi.json, without a key",
    )
    cors_origins: str = Field(
        default="",
        description="origins whose web pages may ask the service, such as https://shop.example.com;"
        " several with commas between them, or * for all",
    )
    curve_cache_seconds: int = Field(
        default=60,
        ge=0,
        description="caches may keep the curve of a product for this long; 0: ask each time",
    )
    max_concurrency: int = Field(
        default=100, ge=1, description="requests worked on at once, beyond which others get 503"
    )
    header_seconds: float = Field(
        default=10.0,
        gt=0,
        allow_inf_nan=False,
        description="time for the headers of a request to arrive",
    )
    request_seconds: float = Field(
        default=30.0,
        gt=0,
        allow_inf_nan=False,
        description="time from the headers of a request to the end of its answer",
    )
    drain_seconds: float = Field(
        default=10.0,
        ge=0,
        allow_inf_nan=False,
        description="go on serving for this long after SIGTERM",
    )
    access_log: bool = Field(default=False, description="log a line for each request")

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The keys that are accepted; without any, no key is asked for."""
        given = self.api_key.get_secret_value() if self.api_key else ""
        return tuple(key.strip() for key in given.split(",") if key.strip())

    @field_validator("host")
    @classmethod
    def _address(cls, host: str) -> str:
        """Write an address in the shortest way, and refuse none, which would mean every network."""
        if not host.strip():
            raise ValueError("should be an address to listen on; :: means every network")
        try:
            return str(ip_address(host.strip("[] ")))
        except ValueError:
            return host  # a name

    @field_validator("api_key")
    @classmethod
    def _at_least_one_key(cls, api_key: SecretStr | None) -> SecretStr | None:
        """Refuse a setting without a key in it: an empty secret must not open the service."""
        keys = ["none"] if api_key is None else api_key.get_secret_value().split(",")
        if not all(re.fullmatch(r"[!-~]+", key.strip()) for key in keys):
            raise ValueError(
                "should be keys of ASCII letters, digits and signs with commas between them; "
                "leave it out to ask for none"
            )
        return api_key

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The other origins whose web pages may ask, as browsers send them; or a star for all."""
        return tuple(filter(None, self.cors_origins.split(",")))

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, cors_origins: str) -> str:
        """Write origins as browsers do: in small letters, without the port that a scheme implies.

        Refuse what no browser would send, since it would let nobody in, and nobody would know why.
        """
        origins = [origin.strip().lower() for origin in cors_origins.split(",") if cors_origins]
        are_all = origins == ["*"]
        if not are_all and not all(re.fullmatch(ORIGIN, origin) for origin in origins):
            raise ValueError(
                "should be * alone, or origins such as https://shop.example.com, without a path or "
                "a slash at the end, with commas between them"
            )
        return ",".join(
            origin.removesuffix(IMPLIED_PORTS.get(origin.partition(":")[0], ""))
            for origin in origins
        )

    @field_validator("root_path")
    @classmethod
    def _path_without_end(cls, root_path: str) -> str:
        if not re.fullmatch(r"(/[^/?#]+)*/?", root_path):
            raise ValueError("should be a path that begins with a slash, such as /dispatch")
        return root_path.rstrip("/")

    @field_validator("model_key")
    @classmethod
    def _a_key(cls, model_key: str | None) -> str | None:
        """Refuse an empty key: a pin that was lost must not serve the newest model."""
        return refuse_no_key(model_key, "model")

    @model_validator(mode="after")
    def _pinned_or_newest(self) -> Self:
        if self.model_key is not None and self.reload_seconds is not None:
            raise ValueError(
                "--reload-seconds looks for the newest model, and --model-key pins another: "
                "leave one of them out"
            )
        return self


def _program(settings: type[StageSettings]) -> str:
    """Return the name of the stage in usage errors: its installed command, or else its module."""
    command = Path(sys.argv[0]).stem
    return command if command in COMMANDS else settings.program


def _all_names() -> set[str]:
    """Return the names of the settings of all stages, which share one environment."""
    stages = (TrainSettings, CheckSettings, ServeSettings)
    return {name for settings in stages for name in settings.model_fields}


def _exit_with_usage_errors(settings: type[StageSettings], error: ValidationError) -> NoReturn:
    """Print what is wrong with each setting, in the manner of argparse, and exit with code 2."""
    program = _program(settings)
    for details in error.errors():
        print(f"{program}: error: {_usage_error(dict(details))}", file=sys.stderr)
    sys.exit(2)


def _usage_error(details: dict[str, Any]) -> str:
    """Name the setting in both of its forms, its value unless it is secret, and what is allowed."""
    reason = details["msg"].removeprefix("Value error, ")
    if not details["loc"]:
        return str(reason)
    name = str(details["loc"][0])
    value = "wrong" if name in SECRETS else repr(details["input"])
    names = f"{option_of(name)} (or {variable_of(name)})"
    return f"{names} is {value}: {reason[0].lower()}{reason[1:]}"
