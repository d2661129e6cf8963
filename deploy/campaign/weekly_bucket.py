"""A bucket of the campaign's own, to which weeks of orders are delivered."""

from datetime import timedelta
from uuid import uuid4

import boto3
import pandas as pd

from deploy.campaign.settings import CampaignSettings
from pipeline.model.order import HOURS
from pipeline.orders.deliveries import DATASETS
from pipeline.orders.simulator import FIRST_FRIDAY, ROWS_PER_WEEK, simulate_orders
from pipeline.stores.timestamped_keys import NAME_PREFIX

MINUTES_PER_HOUR = 60


class WeeklyBucket:
    """An S3 bucket, with a week more at each delivery."""

    def __init__(self, settings: CampaignSettings) -> None:
        """Make a bucket whose name nobody else uses."""
        self._client = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint,
            aws_access_key_id=settings.credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=settings.credentials["AWS_SECRET_ACCESS_KEY"],
            region_name=settings.credentials["AWS_DEFAULT_REGION"],
        )
        self.name = f"time-to-dispatch-campaign-{uuid4()}"
        self._weeks = 0
        region = settings.credentials["AWS_DEFAULT_REGION"]
        if region == "us-east-1":  # the one region that may not be named here
            self._client.create_bucket(Bucket=self.name)
        else:
            place = {"LocationConstraint": region}
            self._client.create_bucket(Bucket=self.name, CreateBucketConfiguration=place)

    @property
    def store(self) -> str:
        """The URL of the store in it."""
        return f"s3://{self.name}/ttd"

    def deliver(self, in_minutes: bool = False) -> str:
        """Put the next week into it, and return its key in the store.

        Args:
            in_minutes: whether the labels are minutes by mistake, which the gate refuses.
        """
        delivered_at = FIRST_FRIDAY + timedelta(days=7 * self._weeks)
        self._weeks += 1
        orders = simulate_orders(ROWS_PER_WEEK, seed=self._weeks)
        if in_minutes:
            orders = orders.assign(**{HOURS: orders[HOURS] * MINUTES_PER_HOUR})
        key = f"{DATASETS}/{NAME_PREFIX}_{delivered_at:%Y-%m-%dT%H-%M-%S}.csv"
        self._put(f"ttd/{key}", orders)
        return key

    def remove(self) -> None:
        """Delete the bucket, with all that is in it."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        for page in pages:
            for found in page.get("Contents", []):
                self._client.delete_object(Bucket=self.name, Key=found["Key"])
        self._client.delete_bucket(Bucket=self.name)
        self._client.close()

    def _put(self, key: str, orders: pd.DataFrame) -> None:
        self._client.put_object(Bucket=self.name, Key=key, Body=orders.to_csv(index=False).encode())
