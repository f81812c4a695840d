// The page: what is pressed goes to the worker, and what the worker tells is shown.
import type { News, Order } from "./messages.ts";
import { whatIsMissing } from "./missing.ts";
import { TensorList } from "./tensor_list.ts";
import { bytesInWords, percentInWords, timeInWords } from "./words.ts";

const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const order = (what: Order): void => worker.postMessage(what);
const list = new TensorList(byId("tensors"), byId("more"), byId("none"), order);

const model = byId<HTMLSelectElement>("model");
const load = byId<HTMLButtonElement>("load");
const pauseAll = byId<HTMLButtonElement>("pause-all");
const resumeAll = byId<HTMLButtonElement>("resume-all");
const anew = byId<HTMLButtonElement>("anew");
const total = byId<HTMLProgressElement>("total");
const numbers = byId("numbers");
const status = byId("status");
const failure = byId("failure");

/** Says something once, for screen readers too. */
function say(words: string): void {
  if (status.textContent !== words) status.textContent = words;
}

let isKept = false;
let saidPercent = 0;

function begin(isAnew: boolean): void {
  failure.hidden = true;
  saidPercent = 0;
  load.disabled = true;
  order({ kind: "load", model: model.value, anew: isAnew });
}

function showButtons(isLoading: boolean): void {
  load.hidden = isLoading;
  load.disabled = false;
  anew.hidden = true;
  model.disabled = isLoading;
  pauseAll.hidden = resumeAll.hidden = !isLoading;
  pauseAll.disabled = !list.isAnyRunning;
  resumeAll.disabled = !list.isAnyPaused;
}

const show: { readonly [K in News["kind"]]: (news: Extract<News, { kind: K }>) => void } = {
  models({ models, unfinished }) {
    byId("choice").hidden = false;
    model.replaceChildren(
      ...models.map(
        ({ name, byteLength }) => new Option(`${name} (${bytesInWords(byteLength)})`, name),
      ),
    );
    load.hidden = false;
    load.textContent = "Load";
    load.disabled = models.length === 0;
    say(models.length === 0 ? "The server has no models." : "Connected.");
    if (!models.some(({ name }) => name === unfinished)) return;
    model.value = unfinished;
    begin(false);
  },

  listing(news) {
    isKept = news.isKept;
    byId("count").textContent = news.tensors.length.toLocaleString("en");
    list.show(news.tensors);
    total.value = 0;
    byId("work").hidden = false;
    showButtons(true);
    say(`Loading ${news.model}: ${news.tensors.length} tensors.`);
  },

  progress({ bytes, totalBytes, resumedBytes, bytesPerSecond, retries, changes }) {
    for (const change of changes) list.change(...change);
    total.value = totalBytes === 0 ? 0 : bytes / totalBytes;
    const percent = percentInWords(bytes, totalBytes);
    byId("percent").textContent = percent;
    const facts = [`${bytesInWords(bytes)} of ${bytesInWords(totalBytes)}`];
    if (bytesPerSecond > 0 && bytes < totalBytes && list.isAnyRunning) {
      facts.push(`${bytesInWords(bytesPerSecond)}/s`);
      facts.push(`${timeInWords((1000 * (totalBytes - bytes)) / bytesPerSecond)} left`);
    }
    if (resumedBytes > 0) facts.push(`${bytesInWords(resumedBytes)} were here already`);
    if (retries > 0) facts.push(`${retries} ${retries === 1 ? "retry" : "retries"}`);
    numbers.replaceChildren(
      ...facts.map((fact) => Object.assign(document.createElement("span"), { textContent: fact })),
    );
    if (load.hidden) {
      pauseAll.disabled = !list.isAnyRunning;
      resumeAll.disabled = !list.isAnyPaused;
    }
    // Every quarter is enough to hear.
    const quarter = Math.floor((4 * bytes) / Math.max(1, totalBytes)) * 25;
    if (quarter > saidPercent && quarter < 100) {
      saidPercent = quarter;
      say(`${quarter} % of the model is here.`);
    }
  },

  done({ wasHere, files, elapsedMs }) {
    showButtons(false);
    load.hidden = true;
    anew.hidden = false;
    const where = isKept ? "kept in this browser" : "kept in memory, until the page is closed";
    say(
      wasHere
        ? `All ${files.length} files are here from an earlier visit.`
        : `Done in ${timeInWords(elapsedMs)}: ${files.length} files, every byte verified, ${where}.`,
    );
  },

  failed({ message, canGoOn }) {
    failure.hidden = false;
    byId("why").textContent = message;
    showButtons(false);
    load.hidden = !canGoOn;
    load.textContent = "Go on";
    byId<HTMLDetailsElement>("server").open ||= !canGoOn;
  },

  picture({ id, picture }) {
    list.draw(id, picture);
  },
};

worker.onmessage = ({ data }: MessageEvent<News>) =>
  (show[data.kind] as (news: News) => void)(data);
worker.onerror = ({ message }) => show.failed({ kind: "failed", message, canGoOn: false });

const missing = whatIsMissing();
byId("missing").hidden = missing.length === 0;
byId("missing-list").replaceChildren(
  ...missing.map((words) => Object.assign(document.createElement("li"), { textContent: words })),
);

load.addEventListener("click", () => begin(false));
anew.addEventListener("click", () => begin(true));
pauseAll.addEventListener("click", () =>
  order({ kind: "pause", ids: list.pending, isPaused: true }),
);
resumeAll.addEventListener("click", () =>
  order({ kind: "pause", ids: list.pending, isPaused: false }),
);
model.addEventListener("change", () => {
  load.textContent = "Load";
  load.hidden = false;
  anew.hidden = true;
});

const filter = byId<HTMLInputElement>("filter");
filter.addEventListener("input", () => {
  list.filter(filter.value);
});

const url = byId<HTMLInputElement>("url");
const token = byId<HTMLInputElement>("token");
function connect(): void {
  failure.hidden = true;
  say("Connecting.");
  order({ kind: "connect", url: url.value, token: token.value || undefined });
}
byId("connect").addEventListener("submit", (event) => {
  event.preventDefault();
  connect();
});
url.value = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
connect();
