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

/** Quick, and yet with a middle to be killed in. */
const CUT_LINK_BYTES_PER_SECOND = 20_000_000;
/** Slow enough for compression to pay. */
const SLOW_LINK_BYTES_PER_SECOND = 2_500_000;
const MODEL = "real-weights";

/** The pulls that end. */
export type DemoLegName = "fullSpeed" | "resumed" | "uncompressed" | "compressed";

/** A pull of the demo, done and compared with the source. */
export interface DemoLeg {
  /** Bytes of what was pulled. */
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
  readonly cutLinkBytesPerSecond: number;
  readonly slowLinkBytesPerSecond: number;
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
  pulled(name: DemoLegName, leg: DemoLeg): void;
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
  const [cutLink, slowLink] = [CUT_LINK_BYTES_PER_SECOND, SLOW_LINK_BYTES_PER_SECOND];
  const first = await demo.serve(false);
  let second: DemoServer | undefined;
  try {
    const fullSpeed = await demo.pull("fullSpeed", first, {});
    const cut = await demo.cut(first, cutLink);
    second = await demo.serve(true);
    const resumed = await demo.pull("resumed", second, { bytesPerSecond: cutLink });
    const shard = { bytesPerSecond: slowLink, isShard: true };
    const uncompressed = await demo.pull("uncompressed", second, { ...shard, isRaw: true });
    const compressed = await demo.pull("compressed", second, shard);
    await second.close();
    return {
      weights: demo.weights,
      cutLinkBytesPerSecond: cutLink,
      slowLinkBytesPerSecond: slowLink,
      fullSpeed,
      cut,
      resumed,
      uncompressed,
      compressed,
    };
  } finally {
    await first.kill();
    await second?.kill();
  }
}

/** What is special about a pull. */
interface PullPlan {
  /** The link's rate; loopback's own by default. */
  readonly bytesPerSecond?: number | undefined;
  /** Just the shard in the middle instead of the model. */
  readonly isShard?: boolean;
  /** Without compression. */
  readonly isRaw?: boolean;
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
    const needed = ["enabled", "use_streaming_protocol", "enable_compression"];
    const set = needed.flatMap((key) => ["--set", `${key}=true`]);
    const server = await DemoServer.start(this.weights.folder, { args: [...args, ...set], signal });
    teller.serving(server, isAgain);
    return server;
  }

  /** A pull to its end, whose files are then compared with the source. */
  async pull(name: DemoLegName, server: DemoServer, plan: PullPlan): Promise<DemoLeg> {
    const { bytesPerSecond, isShard = false, isRaw = false } = plan;
    const link = bytesPerSecond && (await SlowLink.open(server.url, bytesPerSecond));
    try {
      const connectionEnd = server.connectionEnd();
      const startMs = performance.now();
      const { bytes, resumedBytes } = await this.#pull(link ? link.url : server.url, {
        output: name,
        fileName: isShard ? this.weights.files[1] : undefined,
        changed: { compressionEnabled: !isRaw },
      });
      const elapsedMs = performance.now() - startMs;
      const { sentBytes } = await connectionEnd;
      await this.#compare(name, isShard ? this.weights.files[1] : undefined);
      const leg = { bytes, sentBytes, resumedBytes, elapsedMs };
      this.#options.teller.pulled(name, leg);
      return leg;
    } finally {
      if (link) await link.close();
    }
  }

  /** A pull whose server is killed when half of the model has left it. */
  async cut(server: DemoServer, bytesPerSecond: number): Promise<DemoCut> {
    const link = await SlowLink.open(server.url, bytesPerSecond);
    try {
      const killed = link.passed(this.weights.bytes / 2).then(() => server.kill());
      const startMs = performance.now();
      // One failure is enough here: the server will not be back at this address.
      const pulling = this.#pull(link.url, {
        output: "resumed",
        changed: { maxRetries: 0 },
      });
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

  async #pull(
    url: string,
    what: {
      readonly output: DemoLegName;
      readonly fileName?: string | undefined;
      readonly changed: Partial<Settings>;
    },
  ): Promise<PullSummary> {
    const { settings, report, signal, folder } = this.#options;
    signal.throwIfAborted();
    const streaming = { useStreamingProtocol: true, compressionEnabled: true };
    const peer = await dialPeer(url, { ...settings, ...streaming, ...what.changed });
    const partition = what.fileName?.replace(/\.safetensors$/, "") ?? "*";
    const outputPath = join(folder, what.output);
    try {
      return await pull(peer, {
        pattern: parsePattern(`${MODEL}/${partition}`),
        outputPath: what.fileName === undefined ? outputPath : `${outputPath}/`,
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

  /** @param fileName Just this file of the model; default all. */
  async #compare(output: DemoLegName, fileName: string | undefined): Promise<void> {
    const wanted = new Map(
      [...this.#digests].filter(([name]) => fileName === undefined || name === fileName),
    );
    const found = await fileDigests(join(this.#options.folder, output));
    const difference = differenceOf(wanted, found);
    if (difference === undefined) return;
    throw new IntegrityError("transit", `What was pulled is not what was served: ${difference}`);
  }
}
