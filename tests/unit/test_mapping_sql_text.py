"""SQL that gives a text: ``as`` reads it as a cell, and ``unfit`` says what if it does not fit."""

import pandas as pd
import pytest

import backfill as bf
from backfill.errors import SchemaError

SCHEMA = """
name: shop
source: {{order: No, timezone: Europe/Madrid}}
customer_properties:
  $email: Mail
  $phone_number: {phone}
events:
  - event: Placed Order
    time: {time}
    properties: {{$event_id: "{{No}}"}}
"""
PHONE = '{sql: "coalesce(Phone, Other)", as: {phone: {country: Land}}, unfit: leave_out}'
TIME = """{sql: "regexp_extract(Log, 'at ([0-9/: ]+)', 1)", as: {time: "%d/%m/%Y %H:%M"}}"""
CELLS = {
    "No": "1",
    "Mail": "a@tea.example",
    "Phone": "",
    "Other": "612 345 678",
    "Land": "Spain",
    "Log": "paid at 02/11/2025 09:30",
}


def previewed(phone=PHONE, time=TIME, **cells):
    schema = bf.load_schema(SCHEMA.format(phone=phone, time=time))
    return bf.preview(schema, pd.DataFrame([CELLS | cells]), profiles="every")


def person(found):
    [payload] = found.events["payload"]
    return payload["customer_properties"]


def test_the_first_phone_that_is_there_is_read_by_the_country_of_its_row():
    assert person(previewed())["$phone_number"] == "+34612345678"
    assert person(previewed(Phone="+351 912 345 678"))["$phone_number"] == "+351912345678"


def test_a_phone_of_sql_that_is_none_is_left_out_and_the_order_stays():
    found = person(previewed(Phone="ask for Ana"))
    assert found == {"$email": "a@tea.example"}


def test_without_unfit_it_makes_the_order_a_reject():
    found = previewed(PHONE.replace(", unfit: leave_out", ""), Phone="ask for Ana")
    assert found.orders["reason"].tolist() == ["not_a_phone"]


def test_a_time_out_of_a_longer_text_is_of_the_shop_s_clock():
    [time] = previewed().events["time"]
    assert time == pd.Timestamp("2025-11-02 08:30:00", tz="UTC")


def test_a_text_without_a_time_in_it_is_no_time():
    assert previewed(Log="unpaid").orders["reason"].tolist() == ["no_time"]
    assert previewed(Log="at 31/31/2025 09:30").orders["reason"].tolist() == ["not_a_time"]


def test_a_text_that_nothing_reads_as_a_time_is_a_problem_of_the_schema():
    with pytest.raises(SchemaError, match="time is a time; this gives VARCHAR"):
        previewed(time='{sql: "Log"}')
