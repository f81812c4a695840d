import { getLogger } from "@logtape/logtape";
import { systemClock } from "../clock.ts";
import { peerOptions } from "../config/peer_options.ts";
import type { Settings } from "../config/settings.ts";
import type { Connection, Listener } from "../connection.ts";
import { SafetensorsStore } from "../formats/safetensors_store.ts";
import { originOf } from "../origin_rules.ts";
import { PeerHost, type PeerHostOptions } from "../session/host.ts";
import type { TensorPeer } from "../session/peer.ts";
import type { TensorPeerOptions } from "../session/peer_options.ts";
import { PeerRegistry } from "../session/peer_registry.ts";
import type { Transfer } from "../session/transfer.ts";
import { formatAddress } from "../tensor/address.ts";
import { DigestCache } from "../tensor/digest_cache.ts";
import { createHandler } from "../transports/http_handler.ts";
import { AcceptStore } from "./accept_store.ts";
import { type Command, defineVerb, valuesOf } from "./command.ts";
import { OUTPUT_ARGS } from "./common_args.ts";
import { DEFAULT_DEMO_URL, withDemoPage } from "./demo_page.ts";
import { describeError, UsageError } from "./describe_error.ts";
import { readPem } from "./dial.ts";
import { everyHour } from "./every_hour.ts";
import { checkEnabled, checkListening, checkSecrets, DEFAULT_LISTEN_URL } from "./listen_policy.ts";
import { isOwnFault, loggedStore } from "./logged_store.ts";
import type { Report } from "./report.ts";
import { listenOn } from "./runtime.ts";
import { StatusServer, statusUrlOf } from "./status_server.ts";
import { stdinEnd } from "./stdin_end.ts";
import { checkpointLimits, sweepPushes } from "./sweep_outputs.ts";
import { isSameToken, readToken } from "./token.ts";
import { runVerb } from "./verb.ts";

/** `headrace serve`. */
export const serveCommand: Command = defineVerb({
  name: "serve",
  description: "Serve the tensors in safetensors files and folders, and take pushes if told to",
  args: {
    path: {
      type: "positional",
      required: false,
      valueHint: "PATH...",
      description: "Safetensors files, or folders of them; a folder's name is the model's",
    },
    listen: {
      type: "string",
      valueHint: "URL",
      description: `Where to listen, several times if wanted; default ${DEFAULT_LISTEN_URL}, port 0 picks one`,
    },
    cors: {
      type: "string",
      valueHint: "ORIGIN",
      description:
        "Let web pages of this origin in over http:// and ws://, several times if wanted; * is all",
    },
    demo: {
      type: "boolean",
      description: `Show a page that loads a model into a browser, at / of http://; ${DEFAULT_DEMO_URL} if none is given`,
    },
    accept: {
      type: "string",
      valueHint: "DIR",
      description: "Take pushed models into this folder",
    },
    model: {
      type: "string",
      valueHint: "NAME",
      description: "Call the one model that is served so",
    },
    status: {
      type: "string",
      valueHint: "HOST:PORT",
      description:
        "Show what goes on at http://HOST:PORT, to people and programs; changes need the token",
    },
    "token-file": {
      type: "string",
      valueHint: "FILE",
      description: "Let only peers in that know the token in this file (or in HEADRACE_TOKEN)",
    },
    cert: {
      type: "string",
      valueHint: "FILE",
      description: "The certificate chain for tls://, wss:// and https:// (PEM), as cert makes it",
    },
    key: { type: "string", valueHint: "FILE", description: "The certificate's private key (PEM)" },
    insecure: { type: "boolean", description: "Allow listening off loopback without token or TLS" },
    "until-stdin-closes": {
      type: "boolean",
      description: "End with standard input: for a program that must not leave its server behind",
    },
    ...OUTPUT_ARGS,
  },
  mostWords: Number.POSITIVE_INFINITY,
  run: (args, rawArgs) =>
    runVerb(args, rawArgs, async ({ report, signal, settings, origins: saidBy }) => {
      checkEnabled(saidBy.enabled);
      const paths = args._;
      if (paths.length === 0 && args.accept === undefined) {
        throw new UsageError(
          "Nothing to serve: name a safetensors file or folder, or --accept a folder",
        );
      }
      const listenUrls = valuesOf(rawArgs, "listen");
      const urls = listenUrls.length === 0 ? [DEFAULT_LISTEN_URL] : [...listenUrls];
      const isDemo = args.demo ?? false;
      if (isDemo && paths.length === 0) {
        throw new UsageError("Nothing to show: --demo needs a safetensors file or folder");
      }
      if (isDemo && !urls.some(isWeb)) urls.push(DEFAULT_DEMO_URL);
      const token = await readToken(settings.tokenFile);
      const protection = { hasToken: token !== undefined, insecure: args.insecure ?? false };
      for (const url of urls) checkListening(url, protection);
      const statusUrl =
        args.status === undefined
          ? undefined
          : statusUrlOf(args.status, { cert: settings.certFile });
      if (statusUrl) checkListening(statusUrl.href, protection);
      checkSecrets([settings.tokenFile, settings.keyFile], paths);
      const model = args.model === undefined ? {} : { model: args.model };
      const store = paths.length > 0 ? await SafetensorsStore.open(paths, model) : undefined;
      const accepted = args.accept === undefined ? undefined : new AcceptStore(args.accept);
      const tls = {
        ...(settings.certFile !== undefined && { cert: await readPem(settings.certFile) }),
        ...(settings.keyFile !== undefined && { key: await readPem(settings.keyFile) }),
      };
      const authorised = token !== undefined && {
        authorise: (found: string | undefined) => isSameToken(token, found),
      };
      const origins = valuesOf(rawArgs, "cors").map(checkOrigin);
      const listeners: Listener[] = [];
      const hosts: PeerHost[] = [];
      const digests = new DigestCache();
      const registry = statusUrl && new PeerRegistry();
      let status: StatusServer | undefined;
      const stopSweeping =
        args.accept === undefined ? undefined : sweepEveryHour(args.accept, settings, report);
      try {
        for (const url of urls) {
          const rules = { hosts: [hostOf(url)], origins };
          const plain =
            store !== undefined &&
            isWeb(url) &&
            createHandler({
              store,
              digests,
              onError: tellFailure,
              ...authorised,
              ...rules,
              ...(registry && { registry }),
            });
          const fetch = plain && isDemo ? await withDemoPage(plain, rules) : plain;
          const proof = { ...tls, signal, ...rules, ...(fetch && { fetch }) };
          const opened = await listenOn(url, proof);
          listeners.push(...opened);
          const peer = (): TensorPeerOptions => ({
            ...peerOptions(settings),
            ...(store && { store: loggedStore(store) }),
            ...(accepted && { sinks: accepted.session() }),
            ...authorised,
            digests,
            ...(registry && { registry }),
            onTransfer: (transfer) => tellTransfer(report, transfer),
          });
          const onEnd: NonNullable<PeerHostOptions["onEnd"]> = (...end) => tellEnd(report, ...end);
          for (const { connections } of opened) {
            hosts.push(new PeerHost(connections, { peer, onEnd }));
          }
        }
        if (statusUrl && registry) {
          const { nodeName: node, nodeRole: role } = settings;
          const shown = { registry, node, role, ...authorised, origins };
          status = await StatusServer.open(statusUrl, shown, tls);
        }
        const shownAt = status && { status: status.url };
        const listening = [...new Set(listeners.map((listener) => listener.url))];
        const demo = isDemo ? listening.find(isWeb) : undefined;
        report.event(
          { event: "listening", urls: listening, ...shownAt, ...(demo && { demo: `${demo}/` }) },
          `${demo ? `Open ${demo}/ in a browser. ` : ""}Serving ${[...(store?.models ?? []), ...(accepted ? [`pushes into ${args.accept}`] : [])].join(", ")} on ${listening.join(", ")}${status ? `; status at ${status.url}` : ""}`,
        );
        const interrupted = new Promise<never>((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
          if (signal.aborted) reject(signal.reason);
        });
        const isTied = args["until-stdin-closes"] ?? false;
        await (isTied ? Promise.race([interrupted, stdinEnd(signal)]) : interrupted);
      } finally {
        await status?.close();
        await Promise.all(listeners.map((listener) => listener.close()));
        await Promise.all(hosts.map((host) => host.close(signal.reason)));
        await accepted?.close();
        await stopSweeping?.();
      }
    }),
});

/** Whether web pages are answered there. */
const isWeb = (url: string): boolean => /^https?:/i.test(url);

/** The name or address that a listening URL holds. */
const hostOf = (url: string): string => new URL(url.replace(/^[a-z]+/i, "http")).hostname;

/** @throws {UsageError} for what no page comes from. */
function checkOrigin(text: string): string {
  const origin = text === "*" ? text : originOf(text);
  if (origin !== undefined) return origin;
  throw new UsageError(`--cors takes an origin such as https://app.example, or *, found "${text}"`);
}

function sweepEveryHour(folder: string, settings: Settings, report: Report): () => Promise<void> {
  const limits = checkpointLimits(settings);
  return everyHour(() => sweepPushes(folder, limits, report), systemClock);
}

function tellTransfer(report: Report, transfer: Transfer): void {
  const address = formatAddress(transfer.address);
  const tell = (status: string, error?: unknown) => {
    const { bytes, wireBytes } = transfer.progress;
    const { direction } = transfer;
    report.event({
      event: "transfer",
      address,
      direction,
      status,
      bytes,
      wireBytes,
      ...(error !== undefined && { error: describeError(error) }),
    });
    const logger = getLogger(["headrace", "serve"]);
    if (error === undefined) logger.debug`${direction} ${address} ${status}, ${wireBytes} bytes`;
    else {
      const { message } = describeError(error);
      if (isOwnFault(error)) logger.warning`${direction} ${address} ${status}: ${message}`;
      else logger.info`${direction} ${address} ${status}: ${message}`;
    }
  };
  transfer.done.then(
    () => tell("complete"),
    (error) => tell(transfer.status, error),
  );
}

/** Of what an answer by HTTP failed with, whoever asked is not told what is about this machine. */
function tellFailure(error: unknown): void {
  const logger = getLogger(["headrace", "serve"]);
  const { message } = describeError(error);
  if (isOwnFault(error)) logger.warning`Answering a request failed: ${message}`;
  else logger.debug`Answering a request failed: ${message}`;
}

function tellEnd(report: Report, peer: TensorPeer, connection: Connection, error?: unknown): void {
  const { sentBytes, receivedBytes } = peer;
  const why = error === undefined ? undefined : describeError(error);
  report.event({
    event: "connection",
    remote: connection.remote,
    sentBytes,
    receivedBytes,
    ...(why && { error: why }),
  });
  const logger = getLogger(["headrace", "serve"]);
  if (why) logger.warning`${connection.remote} was closed: ${why.code}: ${why.message}`;
  else logger.info`${connection.remote} left after ${sentBytes} bytes sent`;
}
