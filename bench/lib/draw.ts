import { mkdirSync, writeFileSync } from "node:fs";
import { type LineChart, lineChart } from "./line_chart.ts";
import { say } from "./two_processes.ts";

/** Writes a picture for the guides; how they are drawn again is said beside them. */
export function draw(name: string, chart: LineChart): void {
  const folder = new URL("../../docs/pictures/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(`${name}.svg`, folder), lineChart(chart));
  say(`docs/pictures/${name}.svg`);
}
