// Preloaded by every Node below `agenttrace-mitm run`: no dependency, and never a reason for the
// program to fail.  TLS connections to recorded hosts are dialled at the local listener, which
// reads the host from the handshake; certificate checks see the name that the program asked for.
// A connection through a proxy brings its own socket and is left alone.
"use strict";
try {
  const tls = require("tls");
  const hosts = new Set((process.env.AGENTTRACE_HOSTS || "").split(",").filter(Boolean));
  const [, address, listener] = /^\[?(.+?)\]?:(\d+)$/.exec(process.env.AGENTTRACE_SNI || "") || [];

  const redirected = (options) => {
    const host = String(options.host || options.hostname || "").toLowerCase();
    if (options.socket || options.path || !hosts.has(host)) return options;
    if (String(options.port || 443) !== "443") return options;
    const servername = options.servername || host;
    return { ...options, servername, host: address, port: Number(listener), lookup: undefined };
  };

  // tls.connect(options[, cb]), (port[, host][, options][, cb])
  const normalized = (args) => {
    if (args[0] !== null && typeof args[0] === "object") return args;
    const [port, ...rest] = args;
    const host = typeof rest[0] === "string" ? rest.shift() : undefined;
    const options = rest[0] !== null && typeof rest[0] === "object" ? rest.shift() : {};
    return typeof port === "number" ? [{ host, ...options, port }, ...rest] : args;
  };

  if (listener && hosts.size > 0) {
    const connect = tls.connect;
    tls.connect = function (...args) {
      try {
        const [options, ...rest] = normalized(args);
        const dialled = redirected(options);
        if (dialled !== options) return connect.call(this, dialled, ...rest);
      } catch {}
      return connect.apply(this, args);
    };
    require("module").syncBuiltinESMExports();
  }
} catch {}
