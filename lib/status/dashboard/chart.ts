// This module runs in every runtime.
import { formatBytes } from "../format.ts";
import { by } from "./elements.ts";

/** uPlot, as far as it is used here; the page loads it before this. */
interface Plot {
  setData(data: number[][]): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}
declare const uPlot: new (options: object, data: number[][], target: HTMLElement) => Plot;

const SHOWN_SECONDS = 180;
const LEAST_SECONDS = 30;

const timeOf = (seconds: number): string => new Date(seconds * 1000).toLocaleTimeString();

/** Bytes a second of both directions, over the last three minutes. */
export class ThroughputChart {
  readonly #place: HTMLElement = by("chart");
  readonly #times: number[] = [];
  readonly #in: number[] = [];
  readonly #out: number[] = [];
  #plot: Plot;

  constructor() {
    this.#plot = this.#draw();
    new ResizeObserver(() => this.#plot.setSize(this.#size)).observe(this.#place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#plot.destroy();
      this.#plot = this.#draw();
    });
  }

  /** What the rates are at this moment. */
  note(atSeconds: number, inPerSecond: number, outPerSecond: number): void {
    this.#times.push(atSeconds);
    this.#in.push(inPerSecond);
    this.#out.push(outPerSecond);
    for (const values of [this.#times, this.#in, this.#out]) {
      if (values.length > SHOWN_SECONDS + 2) values.shift();
    }
    this.#plot.setData(this.#data);
    this.#place.ariaLabel = `Throughput: receiving ${formatBytes(inPerSecond)}, sending ${formatBytes(outPerSecond)} a second`;
  }

  get #data(): number[][] {
    return [this.#times, this.#in, this.#out];
  }

  get #size(): { width: number; height: number } {
    return { width: this.#place.clientWidth, height: this.#place.clientHeight };
  }

  #draw(): Plot {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: colour("--quiet"),
      grid: { stroke: colour("--track"), width: 1 },
      ticks: { stroke: colour("--track"), width: 1 },
      font: "12px system-ui, sans-serif",
    };
    const line = (name: string) => ({
      stroke: colour(name),
      fill: `color-mix(in srgb, ${colour(name)} 12%, transparent)`,
      width: 2,
      points: { show: false },
    });
    const options = {
      ...this.#size,
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: {
          range: (_: unknown, low: number, high: number) => [
            Math.min(high - LEAST_SECONDS, Math.max(low, high - SHOWN_SECONDS)),
            high,
          ],
        },
        y: { range: (_: unknown, _low: number, high: number) => [0, (high || 1000) * 1.1] },
      },
      axes: [
        {
          ...axis,
          space: 90,
          incrs: [5, 15, 30, 60],
          values: (_: unknown, values: readonly number[]) => values.map(timeOf),
        },
        {
          ...axis,
          size: 78,
          values: (_: unknown, values: readonly number[]) =>
            values.map((value) => `${formatBytes(value)}/s`),
        },
      ],
      series: [{}, line("--in"), line("--out")],
    };
    return new uPlot(options, this.#data, this.#place);
  }
}
