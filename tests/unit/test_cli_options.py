"""The command line offers the choices that the code knows, in the order of its types."""

from typing import Literal, get_args, get_origin

import pytest

from backfill.cli import options as opt
from backfill.planning.judgement import Profiles
from backfill.report.preview import Form
from backfill.wire.apis import ApiName, Method


def choices(option):
    """Those of ``Annotated[Literal[…] | None, …]``."""
    [kind, *_] = get_args(option)
    [literal] = [one for one in (kind, *get_args(kind)) if get_origin(one) is Literal]
    return get_args(literal)


@pytest.mark.parametrize(
    ("option", "known"),
    [
        pytest.param(opt.Api, ApiName, id="--api"),
        pytest.param(opt.Method, Method, id="--method"),
        pytest.param(opt.Profiles, Profiles, id="--profiles"),
        pytest.param(opt.Form, Form, id="--as"),
    ],
)
def test_an_option_offers_all_that_its_type_knows(option, known):
    assert choices(option) == get_args(known)
