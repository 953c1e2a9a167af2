"""Webhook bodies of all kinds, most of them wrong (hypothesis)."""

import json

from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
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
    return st.binary() | values.map(lambda value: json.dumps(value).encode())
