/** What every verb takes. */
export const OUTPUT_ARGS = {
  json: { type: "boolean", description: "Print JSON lines on stdout, and nothing else there" },
  config: {
    type: "string",
    valueHint: "FILE",
    description: "Read settings from this cluster file",
  },
  "log-level": {
    type: "string",
    valueHint: "LEVEL",
    description: "trace, debug, info, warning (default), error or off; logs go to stderr",
  },
  set: {
    type: "string",
    valueHint: "KEY=VALUE",
    description: "A setting, such as chunk_size=4MiB, several times if wanted; see headrace config",
  },
} as const;

/** What every verb that dials takes. */
export const DIAL_ARGS = {
  "token-file": {
    type: "string",
    valueHint: "FILE",
    description: "Read the peer's token from this file (or set HEADRACE_TOKEN)",
  },
  ca: { type: "string", valueHint: "FILE", description: "Trust this certificate authority (PEM)" },
  pin: {
    type: "string",
    valueHint: "SHA256",
    description: "Trust just the certificate with this SHA-256",
  },
} as const;

/** What verbs take that fetch or list. */
export const HTTP_ARGS = {
  http: {
    type: "boolean",
    description: "Ask https://HOST/MODEL by plain requests too, as http:// URLs and files are",
  },
} as const;
