"""Why an order is a reject: each code with the sentence that a person reads."""

from typing import Final

REASONS: Final = {
    "ragged_row": "a row has more or fewer cells than the header "
    "(source: {ragged: pad} fills short ones)",
    "no_order": "a row has cells, but none in the order column",
    "differs_across_files": "several files have this order and disagree (source: "
    "{across_files: …} says which to trust; files of several shops need the shop in source.order "
    "and $event_id, say columns: {shop: {file_name: …}})",
    "repeated_in_file": "the file has this order twice: are several exports in it? (name them one "
    "by one: what they share is then taken once)",
    "differs_in_order": "the rows of one order disagree about who it is or which event it is",
    "id_clash": "an order that stands earlier has the same event id and other content",
    "no_identity": "no e-mail, phone number or id",
    "shared_identity": "the e-mail address, phone number or id stands for many people (source: "
    "{shared_identity_limit: N} says how many may share one)",
    "test_domain": "Klaviyo discards addresses at this domain in silence "
    "(source: {allow_test_domains: true} sends them)",
    "no_time": "the event has no time",
    "no_event_id": "the event's id has an empty part",
    "time_without_zone": "the time has no offset, and the schema names no source.timezone",
    "not_a_zone": "the cell beside the time names no time zone, or no single one (write IANA's "
    "name, such as Europe/Berlin; an empty cell means source.timezone)",
    "time_out_of_range": "the time is before Klaviyo's first or more than a year ahead",
    "too_large": "the event is larger than a request may be",
    "too_many_properties": "the event has more than 400 properties",
    "string_too_long": "a text, or a property's name, has more than 100,000 bytes",
    "too_many_elements": "a list has more than 4,000 elements",
    "too_deep": "objects and lists stand more than 10 levels deep in each other",
    "number_too_large": "a whole number does not fit into 64 bits (as text it would)",
    "email_too_long": "the e-mail address has 100 characters or more",
    "name_too_long": "the metric's name has 128 characters or more",
    "id_too_long": "the event's id has more than 255 characters",
    "profile_too_large": "what the event says of the person is over 95 KB (--profiles none "
    "leaves it out)",
    "url_too_long": "the event makes a URL of more than 8,000 bytes (--method post has room)",
    "phone_only": "GET identifies a person by an e-mail address or an id, and there is neither "
    "(--method post takes a phone number)",
    "not_in_map": "the cell is none of the values in map",
    "no_value_in_sum": "a line has no value to add up",
    "sql_failed": "the SQL has no result for this row: an overflow, or a text that is no number",
    "too_many_places": "SQL computes with six decimal places, and the number has more",
    "ruined_by_excel": "a spreadsheet left 5.27763E+12, ##### or #N/A in place of what tells "
    "orders or people apart (export it again, and keep the column as text)",
    "not_an_integer": "the cell is no integer",
    "not_a_number": "the cell is no number (digits and one point; no exponent)",
    "not_money": "the cell is no amount of money",
    "not_a_boolean": "the cell is neither true nor false",
    "not_a_list": "the cell is JSON: its type is json",
    "not_a_time": (
        "the cell is no time in the declared format (without one: ISO 8601 with date and time; "
        'for days alone say {time: "%Y-%m-%d"})'
    ),
    "day_for_month": "the time fits only with day and month the other way round, so times of other "
    "orders may be read wrong: correct the format",
    "not_a_date": "the cell is no date in the declared format (without one: YYYY-MM-DD)",
    "not_an_email": "the cell is no e-mail address",
    "masked_email": "the address was made unreadable (a***@…, xxxx@…): it would make one person of "
    "many (export the real one, or map another identifier)",
    "not_a_phone": "the cell is no valid phone number ({phone: {country: COLUMN, region: US}} "
    "reads numbers without a country prefix, unfit: leave_out keeps the order without its number)",
    "not_a_country": "the cell is no country's code or name, or a name of several",
    "not_a_currency": "the cell is no currency's code of ISO 4217, such as EUR",
    "not_json": "the cell is no JSON, or none such as the schema takes apart",
    "not_pairs": "the cell is not made of keys and values, or a value holds the sign between them",
    "uneven_lists": "two cells with lists of one order's lines are not equally long",
}
