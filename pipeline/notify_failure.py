"""The stage that Bodywork runs when a deployment has failed: tell people, through the webhook."""

if __name__ == "__main__":
    from pipeline.stages.interrupts import end_in_one_line
    from pipeline.stages.surroundings import refuse_poor_surroundings

    end_in_one_line()  # while modules load, too
    refuse_poor_surroundings()

import os
import sys
from collections.abc import Sequence

from pipeline.model.undelivered_alerts import tell_people
from pipeline.stages.errors import AlertError
from pipeline.stages.logs import LOG, configure_logging, exit_code_of
from pipeline.stages.messages import Message, without_credentials
from pipeline.stages.settings import NotifySettings

REASON_VARIABLE = "EXCEPTION_MESSAGE"
"""Bodywork sets it for this stage; it names the job or service that failed, not what it logged. The
URL of the repository may be in it, with a token."""


@exit_code_of
def main(arguments: Sequence[str] = ()) -> None:
    """Post why the deployment failed, and return the exit code: 0 posted, 1 not posted.

    Without a webhook there is nowhere to post to, and the exit code is 0.

    Args:
        arguments: command line arguments; wrong ones end the process with exit code 2.

    Raises:
        AlertError: the webhook did not take it, so nobody knows; the exit code is 1.
    """
    settings = NotifySettings.from_arguments(arguments)
    configure_logging(settings.log_level, settings.log_format)
    reason = without_credentials(os.environ.get(REASON_VARIABLE, "").rstrip(" ."))
    message = Message(
        f"The deployment failed: {reason or 'Bodywork gave no reason'}.",
        ("The logs of the deployment and of its pods say more.",),
    ).with_short_headline()
    LOG.error(str(message))
    if settings.webhook_url is None:
        LOG.warning("Nobody is told of it: there is no webhook. Set TTD_ALERT_WEBHOOK to its URL.")
    elif not tell_people(settings.webhook_url, settings.store, message):
        raise AlertError("The failure of the deployment was not posted; the lines above say why.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
