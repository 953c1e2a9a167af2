"""Which transport the settings ask for."""

import threading
from collections.abc import Callable, Mapping

from bc_consumer.odoo.auto import AutoTransport
from bc_consumer.odoo.http import HttpSession
from bc_consumer.odoo.json2 import Json2Transport
from bc_consumer.odoo.jsonrpc import JsonRpc
from bc_consumer.odoo.services import ServiceTransport, Wire
from bc_consumer.odoo.settings import OdooSettings
from bc_consumer.odoo.transport import Transport
from bc_consumer.odoo.xmlrpc import XmlRpc


def transport_for(settings: OdooSettings, http: HttpSession, stop: threading.Event) -> Transport:
    """Make the transport of ``settings.transport``."""

    def service(wire: Wire) -> Transport:
        return ServiceTransport(wire, settings, http, stop)

    def json2() -> Transport:
        return Json2Transport(settings, http)

    makers: Mapping[str, Callable[[], Transport]] = {
        "xmlrpc": lambda: service(XmlRpc()),
        "jsonrpc": lambda: service(JsonRpc()),
        "json2": json2,
        "auto": lambda: AutoTransport(json2(), service(JsonRpc()), service(XmlRpc())),
    }
    return makers[settings.transport]()
