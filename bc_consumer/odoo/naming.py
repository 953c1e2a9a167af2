"""Which records an order names, and whose write_date tells that such a name has changed.

Renaming a partner, a product, a user or a unit changes ``display_name`` in every order that names
it and touches no order's write_date (measured on 17, 18 and 19).
"""

from collections.abc import Mapping

from bc_consumer.fields.columns import LINE_COLUMNS, ORDER_COLUMNS

# Model → the records besides itself that its display_name is made of; of others, itself alone.
NAMED_AFTER: Mapping[str, tuple[str, ...]] = {
    "res.partner": ("parent_id",),  # «company, contact»
    "product.product": ("product_tmpl_id",),  # a variant has the name of its template
    "res.users": ("partner_id",),
    "res.company": ("partner_id",),
}
NAMING_MODELS = tuple(
    dict.fromkeys(
        field.model
        for columns in (ORDER_COLUMNS, LINE_COLUMNS)
        for field in columns.values()
        if field.model
    )
)
"""The models whose records columns of the copy name."""


def written_since(model: str, since: str) -> list[object]:
    """Give the domain of the records that may have another display_name since a moment.

    Of a model that is not in NAMED_AFTER, only its own records are known to make the name.
    """
    dates = ["write_date", *(f"{name}.write_date" for name in NAMED_AFTER.get(model, ()))]
    return [*["|"] * (len(dates) - 1), *((date, ">=", since) for date in dates)]
