# mypy: allow-untyped-calls
# mitmproxy annotates only some of its functions.
"""Which connections are decrypted, and under which certificate."""

from collections.abc import Callable

from cryptography import x509
from mitmproxy import certs, connection, tls
from mitmproxy.addons import next_layer, tlsconfig
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import context, layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer

from .direct import ProxyHttpLayer
from .gate import Gate

ENCRYPTED_CLIENT_HELLO = 0xFE0D
ECH = "it hides the server's name (Encrypted ClientHello)"

type Unread = Callable[[connection.Client, str, str], None]
"""Is told of a connection to a provider host (client, host, why) that is not decrypted."""


class GatedNextLayer(next_layer.NextLayer):
    """Chooses layers like mitmproxy's own, but decrypts what the gate says and nothing else."""

    name = "nextlayer"

    def __init__(self, gate: Gate, unread: Unread) -> None:
        self._gate = gate
        self._unread = unread

    def _next_layer(
        self, context: context.Context, data_client: bytes, data_server: bytes
    ) -> layer.Layer | None:
        target = self._gate.target(_address(context))
        if (
            target
            and target.scheme == "http"
            and starts_like_tls_record(data_client)
            and not isinstance(context.layers[-1], ClientTLSLayer)
        ):
            # The server behind this name speaks no TLS; the client does.
            return ClientTLSLayer(context)
        return super()._next_layer(context, data_client, data_server)

    def _setup_explicit_http_proxy(  # type: ignore[override]  # static there
        self, context: context.Context, data_client: bytes
    ) -> layer.Layer:
        if starts_like_tls_record(data_client):
            return super()._setup_explicit_http_proxy(context, data_client)
        chained = isinstance(context.layers[0], modes.HttpUpstreamProxy)
        mode = HTTPMode.upstream if chained else HTTPMode.regular
        return ProxyHttpLayer(context, mode, self._gate)

    def _ignore_connection(
        self, context: context.Context, data_client: bytes, data_server: bytes
    ) -> bool | None:
        address = _address(context)
        if address is None:
            return False  # the client has not said yet where it wants to go
        if len(context.layers) > 1 and isinstance(
            context.layers[-1], ClientTLSLayer | ServerTLSLayer
        ):
            return False  # decided when TLS began
        hello = self._get_client_hello(context, data_client)  # NeedsMoreData passes through
        name = hello.sni if hello and hello.sni else address[0]
        if address[1] != 443:
            return True
        if self._gate.provider(name) is not None:
            return False
        if hello and self._gate.provider(address[0]) is not None:
            hidden = any(kind == ENCRYPTED_CLIENT_HELLO for kind, _ in hello.extensions)
            reason = ECH if hidden else f"it asked for another name in its TLS handshake: {name}"
            self._unread(context.client, address[0], reason)
        return True


class ProviderTls(tlsconfig.TlsConfig):
    """Certificates for DNS names only: the authority may sign nothing else."""

    name = "tlsconfig"

    def tls_clienthello(self, tls_clienthello: tls.ClientHelloData) -> None:
        """Speak with the client what its server speaks."""
        super().tls_clienthello(tls_clienthello)
        client, server = tls_clienthello.context.client, tls_clienthello.context.server
        if not server.tls and b"http/1.1" in client.alpn_offers:
            client.alpn = b"http/1.1"

    def get_cert(self, conn_context: context.Context) -> certs.CertStoreEntry:
        """The certificate for the name that the client asked for."""
        server = conn_context.server.address
        name = conn_context.client.sni or (server[0] if server else "")
        try:
            ascii_name = name.encode("idna").decode() if not name.isascii() else name
            names = [x509.DNSName(ascii_name)]
        except ValueError:
            return super().get_cert(conn_context)
        return self.certstore.get_cert(ascii_name, names, None, None)


def _address(context: context.Context) -> tuple[str, int] | None:
    address = context.server.address
    return (address[0], address[1]) if address else None
