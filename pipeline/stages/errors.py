"""The errors that end a stage, and nothing else.

    PipelineError
    ├── StoreError            the store cannot be listed, read or written
    │   ├── ObjectMissing     there is nothing under this key
    │   └── ObjectExists      the key is taken, and nothing is ever overwritten
    ├── DatasetError          this week's dataset is missing or unusable
    ├── ModelRefused          the new model does not pass the gate
    ├── ArtifactError         a model artifact is missing, damaged or of an unknown format
    ├── ServiceError          the service cannot start
    └── AlertError            people could not be told of a failed deployment

Each message says what was tried, on what, why it failed and what to do. It is for people: a
stage logs it as one line and ends with exit code 1.
"""


class PipelineError(Exception):
    """Something that a person has to look at; its text is the whole explanation."""


class StoreError(PipelineError):
    """The store cannot be listed, read or written."""


class ObjectMissing(StoreError):
    """There is no object under this key."""


class ObjectExists(StoreError):
    """There is an object under this key already; objects are never overwritten."""


class DatasetError(PipelineError):
    """The weekly dataset is missing, or cannot be used for training."""


class ModelRefused(PipelineError):
    """The newly trained model does not pass the gate; production stays as it is."""


class ArtifactError(PipelineError):
    """A model artifact is missing, damaged, or of a format that this code does not know."""


class ServiceError(PipelineError):
    """The service cannot start."""


class AlertError(PipelineError):
    """People could not be told of a failed deployment."""
