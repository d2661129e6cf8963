"""The errors that end a stage, and nothing else.

    PipelineError
    ├── StoreError            the store cannot be listed, read or written
    │   ├── ObjectMissing     there is nothing under this key
    │   ├── ObjectChanged     it was written anew while it was read
    │   └── ObjectExists      the key is taken, and nothing is ever overwritten
    ├── Refusal               this week gets no new model
    │   ├── DatasetError      its dataset cannot be used for training
    │   │   └── DatasetMissing    there is none
    │   ├── ModelRefused      the new model does not pass the gate
    │   └── Overtaken         another training was faster
    ├── ArtifactError         a model artifact is missing, damaged or of an unknown format
    │   └── ArtifactDamaged       it is not, or not yet, the one that its name tells
    ├── ServiceError          the service cannot start
    ├── WorkersError          other processes or machines cannot do the work
    └── AlertError            people could not be told of a failed deployment

Each message says what was tried, on what, why it failed and what to do. It is for people: a
stage logs it, and ends with the exit code of the error.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.stages.messages import Message


class PipelineError(Exception):
    """Something that a person has to look at; its text is the whole explanation.

    Attributes:
        message: the explanation in its parts.
        exit_code: of the stage that it ends.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        headline: str,
        *details: str,
        links: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Put the message together; see `Message` for its parts."""
        super().__init__(headline)
        self.message = Message(headline, details, links or {}, facts or {})

    def __str__(self) -> str:
        """Return the whole explanation."""
        return str(self.message)


class StoreError(PipelineError):
    """The store cannot be listed, read or written."""


class ObjectMissing(StoreError):
    """There is no object under this key."""


class ObjectChanged(StoreError):
    """An object was written anew while it was read; what was read may be half of each."""


class ObjectExists(StoreError):
    """There is an object under this key already; objects are never overwritten."""


class Refusal(PipelineError):
    """This week gets no new model; production stays as it is."""

    exit_code = 3

    def __init__(self, headline: str, *details: str, **parts: Mapping[str, Any]) -> None:
        """Put the message together, with a headline that an alert can show whole."""
        super().__init__(headline, *details, **parts)
        self.message = self.message.with_short_headline()


class DatasetError(Refusal):
    """The weekly dataset cannot be used for training."""


class DatasetMissing(DatasetError):
    """There is no weekly dataset."""

    exit_code = 1


class ModelRefused(Refusal):
    """The newly trained model does not pass the gate; production stays as it is."""


class Overtaken(Refusal):
    """Another training has published a model meanwhile; this one publishes none.

    Attributes:
        version: name of the other model.
    """

    def __init__(self, version: str) -> None:
        """Say which model is there."""
        super().__init__(
            f"Nothing is published: another training was faster, see {version}.",
            "That model is in production, and this one was not compared with it.",
            "If it was trained on an older week, run the stage again.",
            facts={"overtaken_by": version},
        )
        self.version = version


class ArtifactError(PipelineError):
    """A model artifact is missing, damaged, or of a format that this code does not know."""


class ArtifactDamaged(ArtifactError):
    """A model artifact is not the one that its name tells; it may be written at the moment."""


class ServiceError(PipelineError):
    """The service cannot start."""


class WorkersError(PipelineError):
    """Other processes or machines, which should do the work, cannot."""


class AlertError(PipelineError):
    """People could not be told of a failed deployment."""
