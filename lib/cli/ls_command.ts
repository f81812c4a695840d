import { NotFoundError } from "../errors.ts";
import { formatAddress } from "../tensor/address.ts";
import { type Command, defineVerb } from "./command.ts";
import { DIAL_ARGS, HTTP_ARGS, OUTPUT_ARGS } from "./common_args.ts";
import { formatBytes } from "./format.ts";
import { openSource } from "./pull_source.ts";
import { runVerb } from "./verb.ts";

/** `headrace ls`. */
export const lsCommand: Command = defineVerb({
  name: "ls",
  description: "List what a peer has: addresses, dtypes, shapes, bytes",
  args: {
    url: {
      type: "positional",
      required: true,
      valueHint: "URL[/MODEL[/PARTITION[/TENSOR]]]",
      description:
        "A peer or http:// server, and what to list, names may hold *; or http(s)://HOST/FILE.safetensors of any web server",
    },
    ...OUTPUT_ARGS,
    ...DIAL_ARGS,
    ...HTTP_ARGS,
  },
  run: (args, rawArgs) =>
    runVerb(args, rawArgs, async ({ report, signal, settings }) => {
      const { source, pattern } = await openSource(args.url, args, settings, "tensors");
      try {
        const entries = await source.list(pattern, { signal });
        if (entries.length === 0 && Object.values(pattern).some((name) => name !== "*")) {
          throw new NotFoundError(`Nothing matches ${Object.values(pattern).join("/")}`);
        }
        const rows = entries.map(({ address, descriptor }) => ({
          address: formatAddress(address),
          ...descriptor,
        }));
        const width = Math.max(0, ...rows.map((row) => row.address.length));
        for (const row of rows) {
          const shape = `[${row.shape.join(", ")}]`;
          report.event(
            { event: "tensor", ...row },
            `${row.address.padEnd(width)}  ${row.dtype.padEnd(7)}  ${formatBytes(row.byteLength).padStart(8)}  ${shape}`,
          );
        }
        report.event({ event: "done", tensors: rows.length });
      } finally {
        await source.close();
      }
    }),
});
