import pytest

from backfill.errors import DeniedError, ScopeError
from backfill.transport.denied import denied_error


@pytest.mark.parametrize(
    ("status", "scope", "kind", "text"),
    [
        pytest.param(
            301, "events:write", DeniedError, "a redirect, .*check --url", id="a redirect"
        ),
        pytest.param(401, "", DeniedError, "does not accept this key", id="a public key"),
        pytest.param(
            401,
            "events:write",
            DeniedError,
            r"KLAVIYO_PRIVATE_KEY; it takes a private key pk_\.\.\. with the scope events:write",
            id="a private key that nobody knows",
        ),
        pytest.param(
            403,
            "flows:read",
            ScopeError,
            "KLAVIYO_PRIVATE_KEY lacks the scope flows:read; make one that has it",
            id="a private key that may not do this",
        ),
        pytest.param(403, "", DeniedError, "does not accept this key", id="403 for a public key"),
        pytest.param(404, "events:write", DeniedError, "it is gone", id="no such endpoint"),
        pytest.param(410, "", DeniedError, "it is gone", id="a retired endpoint"),
    ],
)
def test_a_denial_says_what_was_asked_and_what_to_do(status, scope, kind, text):
    error = denied_error(status, "POST /api/events", scope=scope, if_gone="it is gone")

    assert type(error) is kind
    with pytest.raises(kind, match=f"the answer is {status} for POST /api/events: .*{text}"):
        raise error
