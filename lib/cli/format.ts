export { formatBytes, formatSeconds } from "../status/format.ts";
