"""What docs/metier.fr.md says of copied fields beyond their names, in French, by column.

Only a person can write these; the rest of the tables follows from ``bc_consumer/fields/table.py``.
tests/unit/test_metier.py sees that each remark belongs to a field that is there.
"""

from collections.abc import Mapping
from typing import NamedTuple


class OwnColumn(NamedTuple):
    """A column that no field of Odoo fills, or that the table of fields does not declare."""

    label: str
    """Its French label, as the pages have it."""
    in_odoo: str
    """The cell on its origin."""
    remark: str


NOT_IN_ODOO = "– (propre à la copie)"

ORDER: Mapping[str, str] = {
    "name": "le numéro que tout le monde utilise (P00042) ; il peut changer, l’identifiant jamais",
    "partner_id": "l’identifiant du fournisseur dans Odoo, et son nom affiché",
    "partner_ref": "le numéro que le fournisseur donne lui-même à la commande",
    "origin": "ce qui a fait naître le bon : une demande, un réapprovisionnement, une vente",
    "state": "où en est le bon, de la demande de prix à l’annulation ; [valeurs](#les-valeurs)",
    "locked": "vrai : Odoo ne laisse plus modifier le bon ; en 17 et 18, vrai quand l’état est « verrouillé »",
    "invoice_status": "ce qui reste à facturer par le fournisseur ; [valeurs](#les-valeurs)",
    "receipt_status": "ce qui reste à recevoir ; [valeurs](#les-valeurs) ; vide sans l’application Inventaire",
    "priority": "l’étoile du bon dans Odoo ; [valeurs](#les-valeurs)",
    "date_order": "jusqu’à quand commander au plus tard",
    "date_approve": "quand le bon a été confirmé ; vide avant",
    "date_planned": "la plus proche des arrivées prévues de ses lignes",
    "effective_date": "quand la première livraison est arrivée ; vide sans l’application Inventaire",
    "currency_id": "n’additionnez jamais des montants de devises différentes",
    "company_id": "votre société qui achète",
    "user_id": "la personne qui suit le bon dans Odoo",
    "amount_untaxed": "exact, aux décimales de la devise, comme Odoo l’affiche",
    "amount_tax": "de même",
    "amount_total": "de même, taxes comprises",
    "notes": "le texte au bas du bon, avec sa mise en forme (HTML)",
    "payment_term_id": "par exemple « 30 jours fin de mois »",
    "create_date": "quand le bon a été saisi",
    "write_date": "la dernière modification selon Odoo, à la seconde ; certaines modifications d’une ligne, d’une description par exemple, ne la changent pas",
}  # fmt: skip
LINE: Mapping[str, str] = {
    "sequence": "l’ordre des lignes dans le formulaire d’Odoo",
    "product_id": "l’identifiant de l’article et son nom affiché ; vide pour une section ou une note",
    "name": "le texte de la ligne, comme le fournisseur le lit",
    "display_type": "vide : une ligne ordinaire ; sinon une section ou une note ; [valeurs](#les-valeurs)",
    "product_qty": "la quantité commandée, dans l’unité de la ligne",
    "qty_received": "la quantité arrivée à ce jour",
    "qty_invoiced": "la quantité que le fournisseur a facturée à ce jour",
    "product_uom": "l’unité dans laquelle la ligne est commandée",
    "price_unit": "le prix d’une unité, avant la remise",
    "discount": "en pour cent ; vide avec Odoo 16 et avant",
    "taxes": "l’identifiant et le nom de chacune",
    "price_subtotal": "hors taxes, remise déduite",
    "price_tax": "les taxes de la ligne",
    "price_total": "taxes comprises",
    "date_planned": "quand cette ligne doit arriver",
    "state": "celui du bon de commande ; [valeurs](#les-valeurs)",
    "create_date": "quand la ligne a été saisie",
    "write_date": "sa dernière modification selon Odoo",
}  # fmt: skip
OWN_ORDER: Mapping[str, OwnColumn] = {
    "odoo_id": OwnColumn("identifiant Odoo", "`id`", "la seule clé sûre : il ne change jamais"),
    "extra": OwnColumn(
        "autres champs", "le nom technique de chacun",
        "vos champs personnalisés, choisis avec l’exploitant ; voir [autres champs](#autres-champs)",
    ),
    "synced_at": OwnColumn(
        "à jour au", NOT_IN_ODOO, "le début de la dernière lecture d’Odoo qui a confirmé cet état"
    ),
    "archived_at": OwnColumn(
        "archivé", NOT_IN_ODOO, "depuis quand ; vide : en cours"
    ),
    "archived_reason": OwnColumn(
        "motif d’archivage", NOT_IN_ODOO, "voir [archivé](#archive) ; [valeurs](#les-valeurs)"
    ),
    "forbidden_at": OwnColumn(
        "accès perdu depuis", NOT_IN_ODOO, "depuis quand Odoo ne nous montre plus ce bon"
    ),
    "version": OwnColumn(
        "version", NOT_IN_ODOO, "un numéro qui croît à chaque changement appliqué, archivage compris"
    ),
    "mapping_version": OwnColumn(
        "version de la correspondance", NOT_IN_ODOO, "avec quels champs le bon a été lu ; pour les techniciens"
    ),
}  # fmt: skip
OWN_LINE: Mapping[str, OwnColumn] = {
    "odoo_id": OwnColumn(
        "identifiant Odoo", "`id`", "reste le même quand la ligne passe à un autre bon (fusion)"
    ),
    "bc": OwnColumn("bon de commande", "`order_id`", "le bon auquel la ligne appartient"),
    "extra": OwnColumn("autres champs", "le nom technique de chacun", "comme pour un BC"),
}
FIRST = frozenset({"odoo_id", "bc"})
"""Own columns whose rows stand before the fields; the others stand after them."""

SALES: Mapping[str, str] = {
    "commitment_date": "la date de livraison promise au client",
    "validity_date": "jusqu’à quand le devis vaut",
    "delivery_status": "ce qui reste à livrer",
    "team_id": "l’équipe commerciale",
    "partner_invoice_id": "l’adresse de facturation",
    "partner_shipping_id": "l’adresse de livraison",
    "pricelist_id": "la liste de prix",
    "warehouse_id": "l’entrepôt qui livre",
    "qty_delivered": "la quantité livrée à ce jour",
    "customer_lead": "le délai de livraison, en jours",
    "is_downpayment": "vrai : la ligne est un acompte",
}
"""Fields of sales that have no column and stand in ``extra``."""
