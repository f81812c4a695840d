// Curves as a picture: an SVG that is read in light and dark, in colours told apart by everybody.

/** One curve; a point may carry the interval in which its value lies. */
export interface Curve {
  readonly name: string;
  readonly points: readonly {
    readonly x: number;
    readonly y: number;
    readonly interval?: readonly [low: number, high: number];
  }[];
}

/** A mark on an axis: where, and what it says. */
export type Mark = readonly [value: number, says: string];

/** What to draw. */
export interface LineChart {
  readonly title: string;
  /** Below the title: what was measured, on what. */
  readonly about: string;
  /** Logarithmic, from the first mark to the last. */
  readonly x: { readonly says: string; readonly marks: readonly Mark[] };
  /** From the first mark to the last. */
  readonly y: { readonly says: string; readonly marks: readonly Mark[] };
  readonly curves: readonly Curve[];
}

const [WIDTH, HEIGHT] = [720, 400];
const AREA = { left: 70, right: 520, top: 64, bottom: 340 };
/** Of Okabe and Ito, "Color Universal Design", 2008. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 4", "1 2"];
const LABEL_HEIGHT = 15;

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (found) => `&#${found.charCodeAt(0)};`);

function scaleOf(marks: readonly Mark[], from: number, to: number, isLogarithmic: boolean) {
  const place = isLogarithmic ? Math.log : (value: number) => value;
  const [first, last] = [marks[0]?.[0] ?? 0, marks.at(-1)?.[0] ?? 1].map(place) as [number, number];
  return (value: number): number => {
    const share = (place(value) - first) / (last - first);
    return Math.round((from + Math.min(1, Math.max(0, share)) * (to - from)) * 10) / 10;
  };
}

/** The picture, as the text of an SVG file. */
export function lineChart({ title, about, x, y, curves }: LineChart): string {
  const { left, right, top, bottom } = AREA;
  const atX = scaleOf(x.marks, left, right, true);
  const atY = scaleOf(y.marks, bottom, top, false);
  const text = (at: readonly [number, number], says: string, more = ""): string =>
    `<text x="${at[0]}" y="${at[1]}"${more}>${escaped(says)}</text>`;
  const grid = [
    ...x.marks.map(([value, says]) => {
      const at = atX(value);
      return `<path class="grid" d="M${at} ${top}V${bottom}"/>${text([at, bottom + 18], says, ' text-anchor="middle"')}`;
    }),
    ...y.marks.map(([value, says]) => {
      const at = atY(value);
      return `<path class="grid" d="M${left} ${at}H${right}"/>${text([left - 8, at + 4], says, ' text-anchor="end"')}`;
    }),
  ];
  const labels = placesOf(curves.map(({ points }) => atY(points.at(-1)?.y ?? 0)));
  const drawn = curves.map(({ name, points }, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const line = points.map((point) => `${atX(point.x)} ${atY(point.y)}`).join("L");
    const bars = points.flatMap(({ x, interval }) =>
      interval ? [`M${atX(x)} ${atY(interval[0])}V${atY(interval[1])}`] : [],
    );
    const end = [atX(points.at(-1)?.x ?? 0), atY(points.at(-1)?.y ?? 0)];
    const label = labels[index] ?? 0;
    return [
      `<path class="curve" stroke="${colour}" stroke-dasharray="${DASHES[index % DASHES.length]}" d="M${line}"/>`,
      bars.length > 0 ? `<path class="bar" stroke="${colour}" d="${bars.join("")}"/>` : "",
      `<circle cx="${end[0]}" cy="${end[1]}" r="3.5" fill="${colour}"/>`,
      `<path class="grid" d="M${end[0]} ${end[1]}L${right + 8} ${label}"/>`,
      text([right + 12, label + 4], name, ` style="fill:${colour}" class="name"`),
    ].join("\n");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">
<title>${escaped(title)}</title>
<desc>${escaped(`${about} ${described(x.says, y.says, curves)}`)}</desc>
<style>
text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:15px;font-weight:600}
.grid{stroke:#8886;fill:none}.curve{fill:none;stroke-width:2.2}.bar{stroke-width:1.5;opacity:.6}
.name{font-weight:600}rect{fill:#fff}
@media (prefers-color-scheme:dark){text{fill:#ddd}rect{fill:#16181d}}
</style>
<rect width="${WIDTH}" height="${HEIGHT}"/>
${text([left - 54, 24], title, ' class="title"')}
${text([left - 54, 44], about)}
${grid.join("\n")}
${drawn.join("\n")}
${text([(left + right) / 2, bottom + 42], x.says, ' text-anchor="middle"')}
${text([0, 0], y.says, ` text-anchor="middle" transform="translate(16 ${(top + bottom) / 2}) rotate(-90)"`)}
</svg>
`;
}

/** Where each curve's name stands: at its end, but none on another. */
function placesOf(ends: readonly number[]): number[] {
  const order = ends.map((_, index) => index).sort((a, b) => (ends[a] ?? 0) - (ends[b] ?? 0));
  const places = [...ends];
  for (let at = 1; at < order.length; at++) {
    const [above, below] = [order[at - 1] as number, order[at] as number];
    places[below] = Math.max(places[below] as number, (places[above] as number) + LABEL_HEIGHT);
  }
  return places;
}

/** The figures in words, for whoever does not see them. */
function described(xSays: string, ySays: string, curves: readonly Curve[]): string {
  const figure = (value: number) => Number(value.toPrecision(3));
  const lists = curves.map(({ name, points }) => {
    const pairs = points.map(({ x, y }) => `${figure(x)}: ${figure(y)}`);
    return `${name}: ${pairs.join(", ")}.`;
  });
  return `${ySays} by ${xSays}. ${lists.join(" ")}`;
}
