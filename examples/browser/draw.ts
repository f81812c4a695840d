// A tensor's values on two canvases, and in words.
import type { Picture } from "./messages.ts";
import { numberInWords } from "./words.ts";

/** Colours as the style sheet has them at the moment. */
function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Everything that the picture shows, for those who do not see it. */
export function pictureInWords(picture: Picture): string {
  const { count, min, max, mean, deviation, strange, histogram } = picture;
  const peak = histogram.indexOf(Math.max(...histogram));
  const step = (max - min) / histogram.length;
  const from = numberInWords(min + peak * step);
  const to = numberInWords(min + (peak + 1) * step);
  const most = max > min ? ` Most lie between ${from} and ${to}.` : "";
  const odd = strange > 0 ? ` ${strange.toLocaleString("en")} are not finite.` : "";
  return `${count.toLocaleString("en")} values from ${numberInWords(min)} to ${numberInWords(max)}, mean ${numberInWords(mean)}, standard deviation ${numberInWords(deviation)}.${most}${odd}`;
}

/** Makes the canvas as sharp as the screen. */
function contextOf(canvas: HTMLCanvasElement, width: number, height: number) {
  const scale = globalThis.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context?.scale(scale, scale);
  return context;
}

/** Bars for how many values lie where; zero is marked. */
export function drawHistogram(canvas: HTMLCanvasElement, { histogram, min, max }: Picture): void {
  const [width, height] = [canvas.clientWidth || 320, canvas.clientHeight || 120];
  const context = contextOf(canvas, width, height);
  if (!context) return;
  const most = Math.max(1, ...histogram);
  const step = width / histogram.length;
  context.fillStyle = colour("--accent");
  for (const [n, count] of histogram.entries()) {
    // The square root keeps the tails in sight.
    const tall = Math.sqrt(count / most) * (height - 4);
    context.fillRect(n * step + 0.5, height - tall, step - 1, tall);
  }
  context.fillStyle = colour("--line");
  context.fillRect(0, height - 1, width, 1);
  if (min < 0 && max > 0) {
    context.fillStyle = colour("--ink");
    context.fillRect(((0 - min) / (max - min)) * width, 0, 1, height);
  }
}

/** A cell for the mean of each patch: below zero one colour, above zero the other. */
export function drawMap(canvas: HTMLCanvasElement, { map }: Picture): void {
  const { rows, columns, means } = map;
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  if (!context) return;
  const [below, none, above] = ["--below", "--none", "--above"].map((name) => rgbOf(colour(name)));
  const most = means.reduce((most, mean) => Math.max(most, Math.abs(mean)), 0) || 1;
  const image = context.createImageData(columns, rows);
  for (const [cell, mean] of means.entries()) {
    const end = mean < 0 ? below : above;
    const part = Math.sqrt(Math.abs(mean) / most);
    for (let n = 0; n < 3; n++) {
      const [from, to] = [none?.[n] ?? 0, end?.[n] ?? 0];
      image.data[4 * cell + n] = from + (to - from) * part;
    }
    image.data[4 * cell + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

const rgbOf = (hex: string): number[] =>
  [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
