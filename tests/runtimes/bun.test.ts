import { test } from "bun:test";
import { registerSuites, TEST_TIMEOUT_MS } from "./register.ts";

registerSuites("bun", (name, body) => test(name, async () => body(), TEST_TIMEOUT_MS));
