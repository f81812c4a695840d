// The page's worker: connections, digests and files are here, so that the page itself stays quick.
import { Loader } from "./loader.ts";
import type { News, Order } from "./messages.ts";

const scope = globalThis as unknown as {
  postMessage(news: News): void;
  onmessage: (event: MessageEvent<Order>) => void;
};
const loader = new Loader((news) => scope.postMessage(news));
scope.onmessage = ({ data }) => void loader.do(data);
