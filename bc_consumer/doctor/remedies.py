"""What to do about other systems' errors, chosen by their text."""

from collections.abc import Sequence

from bc_consumer.core.translatable import NOTHING, Message
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo import (
    MissingEndpoint,
    MissingField,
    MissingModel,
    MissingProtocol,
    NoRights,
    OdooError,
    OdooProtocolError,
    OdooRefused,
    OdooTimeout,
    OdooUnavailable,
    WrongAddress,
    WrongCredentials,
    WrongDatabase,
    WrongLanguage,
)


def database_fix(text: str) -> Message:
    """Return what to do about an error while connecting to the database."""
    fixes = (
        (
            ("password authentication", "no password supplied"),
            _("Correct user and password in DATABASE_URL."),
        ),
        (
            ("could not translate host name", "name or service"),
            _("Correct the host's name in DATABASE_URL."),
        ),
        (
            ("connection refused",),
            _(
                "Is PostgreSQL running there? Correct host and port in DATABASE_URL; see "
                "listen_addresses and the firewall."
            ),
        ),
        (
            ("database … does not exist",),
            _("Create that database, or correct its name in DATABASE_URL."),
        ),
        (("no pg_hba.conf entry",), _("Let this machine in: see PostgreSQL's pg_hba.conf.")),
        (
            ("timeout", "timed out"),
            _(
                "A firewall drops the packets, or the server is stopped: check host and port "
                "in DATABASE_URL."
            ),
        ),
        (
            ("too many clients", "too many connections", "remaining connection slots"),
            _("Raise max_connections in PostgreSQL, or run fewer processes."),
        ),
        (
            ("unable to open database file", "readonly database"),
            _("This user must be able to write DATA_DIR (or the file in DATABASE_URL)."),
        ),
    )
    if fix := _first_fix(fixes, text):
        return fix
    return _("Check DATABASE_URL: host, port, user, password, name.")


def _first_fix(fixes: Sequence[tuple[Sequence[str], Message]], text: str) -> Message:
    """Return the first fix one of whose words (in lower case) the text contains, if any."""
    small = text.lower()

    def held(words: str) -> bool:
        return all(part in small for part in words.split(" … "))

    return next((fix for signs, fix in fixes if any(map(held, signs))), NOTHING)


def odoo_fix(problem: OdooError) -> Message:
    """Return what to do about an error from Odoo."""
    kinds: tuple[tuple[type[OdooError], Message], ...] = (
        (WrongAddress, _("Put that address into ODOO_URL, without the path of a page.")),
        (MissingProtocol, _("Set ODOO_TRANSPORT=auto.")),
        (WrongDatabase, _("Correct ODOO_DATABASE: Odoo's database selector shows the name.")),
        (
            WrongCredentials,
            _(
                "Correct ODOO_LOGIN and ODOO_PASSWORD; has the API key expired, or was the "
                "account archived?"
            ),
        ),
        (
            WrongLanguage,
            _("Correct ODOO_LANGUAGE, or add the language in Odoo's settings."),
        ),
        (
            NoRights,
            _(
                "In Odoo, give the account the rights of a user of that app (Purchase / "
                "User, or Sales / User: All Documents)."
            ),
        ),
        (
            MissingField,
            _(
                "Give the account the rights of a user of the app; if it has them, this "
                "Odoo lacks the field: is its version supported?"
            ),
        ),
        (
            MissingEndpoint,
            _(
                "Nothing there speaks this protocol: set ODOO_TRANSPORT=auto; check that ODOO_URL"
                " is Odoo itself, without the path of a page, and that the proxy passes on"
                " /xmlrpc/2/, /jsonrpc or /json/2/."
            ),
        ),
        (MissingModel, _("Install the app in Odoo, or correct ODOO_ORDER_MODEL or ODOO_DATABASE.")),
    )
    for kind, fix in kinds:
        if isinstance(problem, kind):
            return fix
    return _network_fix(problem)


def _network_fix(problem: OdooError) -> Message:
    text = str(problem)
    fixes = (
        (("resolve host",), _("Correct the host's name in ODOO_URL, or this machine's DNS.")),
        (
            ("expired",),
            _("Renew the certificate on Odoo's side, or correct this machine's clock."),
        ),
        (
            ("self-signed", "self signed", "local issuer"),
            _(
                "Name the certificate of your own authority (PEM) in ODOO_CA_FILE; or use "
                "a public one on Odoo's side."
            ),
        ),
        (
            ("subject name", "does not match", "hostname"),
            _("The certificate is for another host: use its name in ODOO_URL."),
        ),
        (
            (
                "does not speak tls",
                "not answer in http",
                "wrong version",
                "eof while reading",
                "ssl_connect",
            ),
            _("Correct http:// or https:// and the port in ODOO_URL."),
        ),
        (("redirects to",), _("Put the address that it redirects to into ODOO_URL.")),
        (
            ("failed to connect", "couldn't connect", "connect to server", "refused"),
            _("Is Odoo running there? Correct host and port in ODOO_URL; check the firewall."),
        ),
        (
            ("web page", "http 400", "http 404", "http 405"),
            _(
                "Put the address of Odoo itself into ODOO_URL, without a path; check that "
                "the proxy passes on /xmlrpc/2/, /jsonrpc or /json/2/."
            ),
        ),
    )
    if fix := _first_fix(fixes, text):
        return fix
    if isinstance(problem, OdooTimeout):
        return _("Is Odoo overloaded? Does a firewall drop packets? See ODOO_TIMEOUT_SECONDS.")
    if isinstance(problem, OdooRefused):
        return _("Correct what the message names.")
    if isinstance(problem, OdooUnavailable):
        return _("See Odoo's log and the proxy in front of it; then run doctor again.")
    if isinstance(problem, OdooProtocolError):
        return _("Is ODOO_URL the address of Odoo itself?")
    return _("See Odoo's log.")
