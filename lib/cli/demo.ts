import { join } from "node:path";
import type { Settings } from "../config/settings.ts";
import { HeadraceError, IntegrityError } from "../errors.ts";
import { parsePattern } from "../tensor/address.ts";
import { DemoServer } from "./demo_server.ts";
import { type MadeWeights, makeWeights } from "./demo_weights.ts";
import { dialPeer } from "./dial.ts";
import { differenceOf, type FileDigests, fileDigests } from "./file_digests.ts";
import { type PullSummary, pull } from "./pull.ts";
import type { Report } from "./report.ts";
import { SlowLink } from "./slow_link.ts";

/** The link's rate where it is not loopback's own. */
const LINK_BYTES_PER_SECOND = 20_000_000;
const MODEL = "real-weights";

/** A pull of the demo, done and compared with the source. */
export interface DemoLeg {
  /** Bytes of the model. */
  readonly bytes: number;
  /** Bytes that the server sent for it. */
  readonly sentBytes: number;
  /** Bytes that a pull before it had left in place. */
  readonly resumedBytes: number;
  readonly elapsedMs: number;
}

/** A pull whose server was killed under it. */
export interface DemoCut {
  /** Bytes that the server had sent. */
  readonly sentBytes: number;
  readonly elapsedMs: number;
}

/** What the demo did. */
export interface DemoResult {
  readonly weights: MadeWeights;
  readonly linkBytesPerSecond: number;
  readonly fullSpeed: DemoLeg;
  readonly cut: DemoCut;
  readonly resumed: DemoLeg;
  readonly uncompressed: DemoLeg;
  readonly compressed: DemoLeg;
}

/** What happens, as it happens. */
export interface DemoTeller {
  built(weights: MadeWeights): void;
  serving(server: DemoServer, isAgain: boolean): void;
  pulled(name: "fullSpeed" | "resumed" | "uncompressed" | "compressed", leg: DemoLeg): void;
  killed(server: DemoServer, cut: DemoCut): void;
}

/** How to run the demo. */
export interface DemoOptions {
  /** Where everything goes. */
  readonly folder: string;
  readonly settings: Settings;
  /** More of `headrace serve`'s arguments. */
  readonly serveArgs: readonly string[];
  readonly teller: DemoTeller;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/**
 * Real weights leave one process and arrive in another: at full speed; with the server killed in
 * the middle and started again; and over a slow link with and without compression.
 *
 * @throws {IntegrityError} when what arrived is not what was sent.
 */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const demo = await Demo.build(options);
  const first = await demo.serve(false);
  let second: DemoServer | undefined;
  try {
    const fullSpeed = await demo.pullOver(first, "fullSpeed", { link: "bare" });
    const cut = await demo.cut(first);
    second = await demo.serve(true);
    const resumed = await demo.pullOver(second, "resumed", { link: "slow" });
    const raw = { link: "slow", compressionEnabled: false } as const;
    const uncompressed = await demo.pullOver(second, "uncompressed", raw);
    const compressed = await demo.pullOver(second, "compressed", { link: "slow" });
    await second.close();
    const { weights } = demo;
    const linkBytesPerSecond = LINK_BYTES_PER_SECOND;
    return { weights, linkBytesPerSecond, fullSpeed, cut, resumed, uncompressed, compressed };
  } finally {
    await first.kill();
    await second?.kill();
  }
}

class Demo {
  readonly weights: MadeWeights;
  readonly #options: DemoOptions;
  readonly #digests: FileDigests;

  private constructor(options: DemoOptions, weights: MadeWeights, digests: FileDigests) {
    this.#options = options;
    this.weights = weights;
    this.#digests = digests;
  }

  static async build(options: DemoOptions): Promise<Demo> {
    const weights = await makeWeights(join(options.folder, MODEL));
    options.signal.throwIfAborted();
    options.teller.built(weights);
    return new Demo(options, weights, await fileDigests(weights.folder));
  }

  async serve(isAgain: boolean): Promise<DemoServer> {
    const { serveArgs: args, signal, teller } = this.#options;
    // Whatever the settings in force say: without these there is nothing to show.
    const environment = {
      OLLAMA_TENSOR_STREAMING_PROTOCOL: "true",
      OLLAMA_TENSOR_ENABLE_COMPRESSION: "true",
    };
    const server = await DemoServer.start(this.weights.folder, { args, environment, signal });
    teller.serving(server, isAgain);
    return server;
  }

  /** A whole pull, whose files are then compared with the source. */
  async pullOver(
    server: DemoServer,
    name: "fullSpeed" | "resumed" | "uncompressed" | "compressed",
    how: { readonly link: "bare" | "slow"; readonly compressionEnabled?: boolean },
  ): Promise<DemoLeg> {
    const { teller } = this.#options;
    const link =
      how.link === "slow" ? await SlowLink.open(server.url, LINK_BYTES_PER_SECOND) : undefined;
    try {
      const compressionEnabled = how.compressionEnabled ?? true;
      const connectionEnd = server.connectionEnd();
      const startMs = performance.now();
      const { bytes, resumedBytes } = await this.#pull(link?.url ?? server.url, name, {
        compressionEnabled,
      });
      const elapsedMs = performance.now() - startMs;
      const { sentBytes } = await connectionEnd;
      await this.#compare(name);
      const leg = { bytes, sentBytes, resumedBytes, elapsedMs };
      teller.pulled(name, leg);
      return leg;
    } finally {
      await link?.close();
    }
  }

  /** A pull whose server is killed when half of the model has left it. */
  async cut(server: DemoServer): Promise<DemoCut> {
    const link = await SlowLink.open(server.url, LINK_BYTES_PER_SECOND);
    try {
      const killed = link.passed(this.weights.bytes / 2).then(() => server.kill());
      const startMs = performance.now();
      // One failure is enough here: the server will not be back at this address.
      const pulling = this.#pull(link.url, "resumed", { maxRetries: 0 });
      await pulling.then(
        () => {
          throw new IntegrityError("source", "The pull ended although its server was killed");
        },
        (error) => {
          if (!(error instanceof HeadraceError && error.code !== "integrity")) throw error;
        },
      );
      await killed;
      const cut = { sentBytes: link.passedBytes, elapsedMs: performance.now() - startMs };
      this.#options.teller.killed(server, cut);
      return cut;
    } finally {
      await link.close();
    }
  }

  async #pull(url: string, name: string, changed: Partial<Settings>): Promise<PullSummary> {
    const { settings, report, signal } = this.#options;
    signal.throwIfAborted();
    const streaming = { ...settings, useStreamingProtocol: true, compressionEnabled: true };
    const peer = await dialPeer(url, {}, { ...streaming, ...changed });
    try {
      return await pull(peer, {
        pattern: parsePattern(MODEL),
        outputPath: join(this.#options.folder, name),
        overwrite: false,
        durable: false,
        priority: 50,
        report,
        signal,
      });
    } finally {
      await peer.close();
    }
  }

  async #compare(name: string): Promise<void> {
    const found = await fileDigests(join(this.#options.folder, name));
    const difference = differenceOf(this.#digests, found);
    if (difference === undefined) return;
    throw new IntegrityError("transit", `What was pulled is not what was served: ${difference}`);
  }
}
