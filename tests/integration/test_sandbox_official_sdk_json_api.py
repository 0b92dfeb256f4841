"""Klaviyo's own SDK of the JSON:API, klaviyo-api 25.0.0, as the judge of the sandbox."""

import datetime as dt
import importlib
import warnings

import pytest

from backfill.sandbox import Behaviour, Faults, Sandbox

KEY = "pk_ABC123_0123456789abcdef"
TIME = dt.datetime(2022, 11, 8, 10, 30, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def sdk():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its models have pydantic's old names
        return importlib.import_module("klaviyo_api")


@pytest.fixture(scope="module")
def client(sdk):  # noqa: ARG001 - imported first, where its warnings are not errors
    """Its generated half: the models, and the exceptions that it raises."""
    return importlib.import_module("openapi_client")


@pytest.fixture
def sandbox():
    with Sandbox(
        behaviour=Behaviour(flows={"Placed Order": [("Thank you", "live"), ("Win back", "draft")]})
    ) as made:
        yield made


@pytest.fixture
def connect(sdk, monkeypatch):
    """Always with ``test_host``: without it the SDK posts to Klaviyo."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def make(sandbox, key=KEY, **options):
        return sdk.KlaviyoAPI(key, test_host=sandbox.url, **options)

    return make


def metric(name):
    return {"data": {"type": "metric", "attributes": {"name": name}}}


def profile(**attributes):
    return {"data": {"type": "profile", "attributes": attributes}}


def event(unique_id, *, name="Placed Order", time=TIME, value=9.5, **properties):
    return {
        "type": "event",
        "attributes": {
            "properties": properties,
            "metric": metric(name),
            "time": time.isoformat(),
            "value": value,
            "value_currency": "EUR",
            "unique_id": unique_id,
            "backfill": True,
        },
    }


def single(unique_id, email="anna@shop.test", **more):
    made = event(unique_id, **more)
    made["attributes"]["profile"] = profile(email=email)
    return {"data": made}


def bulk(*items):
    """Items as (profile, events)."""
    return {
        "data": {
            "type": "event-bulk-create-job",
            "attributes": {
                "events-bulk-create": {
                    "data": [
                        {
                            "type": "event-bulk-create",
                            "attributes": {
                                "backfill": True,
                                "profile": who,
                                "events": {"data": list(events)},
                            },
                        }
                        for who, events in items
                    ]
                }
            },
        }
    }


def post_three(api):
    """Two orders of Anna's on one day, one of Bo's on the next."""
    later = TIME + dt.timedelta(days=1)
    api.Events.bulk_create_events(
        bulk(
            (profile(email="anna@shop.test"), [event("o1", Sku="a"), event("o2", value=0.5)]),
            (profile(email="bo@shop.test", first_name="Bo"), [event("o3", time=later)]),
        )
    )


def metric_id(api, name="Placed Order"):
    (found,) = [one for one in api.Metrics.get_metrics().data if one.attributes.name == name]
    return found.id


def test_it_creates_one_event(sandbox, connect):
    connect(sandbox).Events.create_event(single("o1", Sku="a", Items=[{"Name": "Åkerbär"}]))

    (found,) = sandbox.events()
    assert (found["token"], found["metric"], found["event_id"]) == ("ABC123", "Placed Order", "o1")
    assert found["time"] == int(TIME.timestamp())
    assert found["properties"] == {
        "Sku": "a",
        "Items": [{"Name": "Åkerbär"}],
        "$event_id": "o1",
        "$value": 9.5,
        "$value_currency": "EUR",
    }
    assert found["backfill"] is True
    assert sandbox.stats()["would_trigger_flows"] == 0


def test_it_creates_events_in_bulk(sandbox, connect):
    post_three(connect(sandbox))

    assert [found["event_id"] for found in sandbox.events()] == ["o1", "o2", "o3"]
    assert sandbox.profiles()[1]["attributes"] == {"$first_name": "Bo"}
    assert sandbox.refusals() == []


def test_its_models_read_what_a_sandbox_takes(sandbox, connect, client):
    body = bulk((profile(email="anna@shop.test"), [event("o1")]))

    model = client.EventsBulkCreateJob.from_dict(body)
    connect(sandbox).Events.bulk_create_events(model)

    assert sandbox.stats()["recorded"] == 1


def test_it_reads_the_account_of_a_key(sandbox, connect):
    (found,) = connect(sandbox).Accounts.get_accounts().data
    assert (found.id, found.attributes.public_api_key) == ("ABC123", "ABC123")
    assert connect(sandbox).Accounts.get_account("ABC123").data.id == "ABC123"
    (other,) = connect(sandbox, "pk_0123456789abcdef").Accounts.get_accounts().data
    assert other.id == "LOCAL1"


def test_it_reads_events(sandbox, connect):
    api = connect(sandbox)
    post_three(api)

    answer = api.Events.get_events(filter=f'equals(metric_id,"{metric_id(api)}")', sort="datetime")

    assert [one.attributes.event_properties["$event_id"] for one in answer.data] == [
        "o1",
        "o2",
        "o3",
    ]
    assert answer.data[0].attributes.event_properties["$value"] == 9.5
    assert answer.data[0].attributes.datetime_ == TIME
    assert answer.data[0].attributes.timestamp == int(TIME.timestamp())
    assert answer.data[0].relationships.metric.data.id == metric_id(api)
    assert answer.links.next is None


def test_it_pages_by_the_cursor(sandbox, connect):
    api = connect(sandbox)
    post_three(api)

    seen, cursor = [], None
    while True:
        page = api.Events.get_events(page_size=1, page_cursor=cursor, sort="-datetime")
        seen += [one.attributes.event_properties["$event_id"] for one in page.data]
        if page.links.next is None:
            break
        cursor = page.links.next.replace("http://", "https://")  # it knows no other links

    assert seen == ["o3", "o2", "o1"]


def test_it_filters_by_time(sandbox, connect):
    api = connect(sandbox)
    post_three(api)
    built = importlib.import_module("klaviyo_api.filter_builder").FilterBuilder()
    built.greater_than("datetime", TIME)

    assert [
        one.attributes.event_properties["$event_id"]
        for one in api.Events.get_events(filter=built.build()).data
    ] == ["o3"]


def test_it_reads_what_is_included(sandbox, connect):
    api = connect(sandbox)
    post_three(api)

    answer = api.Events.get_events(include=["metric", "profile"], sort="datetime")

    assert [(one["type"], one["attributes"].get("name")) for one in answer.included] == [
        ("metric", "Placed Order"),
        ("profile", None),
        ("profile", None),
    ]
    assert answer.included[2]["attributes"]["first_name"] == "Bo"


def test_it_reads_sparse_fieldsets(sandbox, connect):
    api = connect(sandbox)
    post_three(api)

    answer = api.Events.get_events(fields_event=["timestamp"], page_size=1)

    (found,) = answer["data"]  # it makes no models of what was asked for in part
    assert found["attributes"] == {"timestamp": int(TIME.timestamp()) + 86_400}


def test_it_reads_metrics_and_their_flows(sandbox, connect):
    api = connect(sandbox)
    post_three(api)

    (found,) = api.Metrics.get_metrics(filter='equals(integration.name,"API")').data
    flows = api.Metrics.get_flows_triggered_by_metric(found.id).data

    assert found.attributes.integration["name"] == "API"
    assert [(flow.attributes.name, flow.attributes.status) for flow in flows] == [
        ("Thank you", "live"),
        ("Win back", "draft"),
    ]
    assert api.Metrics.get_metrics(filter='equals(integration.name,"Shopify")').data == []


def aggregates(api, **attributes):
    asked = {
        "metric_id": metric_id(api),
        "measurements": ["count", "sum_value", "unique"],
        "interval": "day",
        "filter": [
            "greater-or-equal(datetime,2022-11-08T00:00:00)",
            "less-than(datetime,2022-11-11T00:00:00)",
        ],
        "timezone": "UTC",
    } | attributes
    body = {"data": {"type": "metric-aggregate", "attributes": asked}}
    return api.Metrics.query_metric_aggregates(body).data.attributes


def test_it_counts_and_sums_by_day(sandbox, connect):
    api = connect(sandbox)
    post_three(api)

    answer = aggregates(api)

    assert [date.date().day for date in answer.dates] == [8, 9, 10]
    assert answer.data[0].dimensions == []
    assert answer.data[0].measurements == {
        "count": [2, 1, 0],
        "sum_value": [10.0, 9.5, 0],
        "unique": [1, 1, 0],
    }


@pytest.mark.parametrize(
    ("interval", "zone", "counts"),
    [
        pytest.param("hour", "UTC", {10: 2, 34: 1}, id="by hour"),
        pytest.param("week", "UTC", {0: 3}, id="by week"),
        pytest.param("month", "UTC", {0: 3}, id="by month"),
        pytest.param("day", "Pacific/Auckland", {0: 2, 1: 1}, id="by days elsewhere"),
    ],
)
def test_it_counts_by_other_intervals(sandbox, connect, interval, zone, counts):
    api = connect(sandbox)
    post_three(api)

    found = aggregates(api, interval=interval, timezone=zone).data[0].measurements["count"]

    assert {place: int(count) for place, count in enumerate(found) if count} == counts


def test_a_refusal_is_an_exception_with_a_pointer(sandbox, connect, client):
    bad = bulk((profile(email="anna@shop.test"), [event("o1"), event("o2", name="x" * 128)]))

    with pytest.raises(client.exceptions.BadRequestException) as raised:
        connect(sandbox).Events.bulk_create_events(bad)

    assert (
        "/data/attributes/events-bulk-create/data/0/attributes/events/data/1/attributes/metric/"
        "data/attributes/name" in raised.value.body
    )
    assert sandbox.stats()["recorded"] == 0


@pytest.mark.parametrize(
    ("status", "attempts"),
    [
        pytest.param(429, 2, id="throttled"),
        pytest.param(503, 2, id="unavailable"),
    ],
)
def test_it_retries_throttled_and_unavailable(connect, status, attempts):
    faults = Faults.of({"faults": [{"at": [1], "answer": status, "retry_after": 0}]})
    with Sandbox(faults=faults) as sandbox:
        connect(sandbox, max_delay=0.01).Events.create_event(single("o1"))

        assert sandbox.stats()["endpoints"] == {"events": attempts}
        assert sandbox.stats()["recorded"] == 1


def test_an_invalid_key_is_unauthorized(sandbox, connect, client):
    with pytest.raises(client.exceptions.UnauthorizedException):
        connect(sandbox, "ABC123").Accounts.get_accounts()
