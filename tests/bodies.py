"""Webhook bodies of all kinds, most of them wrong (hypothesis)."""

import json

from hypothesis import strategies as st

KEYS = st.sampled_from(["_model", "_id", "x", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=4,
)
ALMOST = st.fixed_dictionaries(
    {
        "_model": st.sampled_from(["purchase.order", "purchase.order.line", "sale.order"]) | JSON,
    },
    optional={
        "_id": st.integers() | JSON,
        "order_id": st.integers() | JSON,
        "ids": st.lists(st.integers(-5, 2**33)) | JSON,
        "note": JSON,
    },
)


def bodies() -> st.SearchStrategy[bytes]:
    """Bytes that are no JSON, JSON that is no event, and what almost is one."""
    values = JSON | ALMOST
    return st.binary(max_size=12) | values.map(lambda value: json.dumps(value).encode())
